package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const templates = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  gone: {endpoints: ["{{.gone}}"]}
auth:
` + jwtMain + `
routes:
  - {name: hello, match: {path: /hello}, auth: public, respond: {status: 200}}
  - {name: plain, match: {path: /plain}, auth: public, to: [{backend: app}]}
  - name: both
    match: {path: /both}
    auth: public
    request: {set: {Answer-X-Sent: "${path}"}}
    response: {set: {X-Seen: "${path}"}}
    to: [{backend: app}]
    body:
      request: {template: '{"made": {"z": "${body.z}", "a": "${body.?a}", "by": "${request.method} ${request.path}"}, "rest": "${without(body, [''z''])}"}'}
      response: {template: "${merge(without(body, ['secret']), {'status': response.status})}", status: [2xx]}
  - {name: in, match: {path: /in}, auth: public, to: [{backend: app}], body: {request: {template: "${body}", maxBytes: 1000}}}
  - {name: out, match: {path: /out}, auth: public, to: [{backend: app}], compress: true, timeout: 5s, request: {set: {X-Also: "${path}"}}, response: {set: {X-Seen: "${path}"}}, body: {response: {template: '{"kept": "${body.keep}"}', status: [2xx, 404]}}}
  - {name: large, match: {path: /large}, auth: public, to: [{backend: app}], body: {request: {template: "${body}", maxBytes: 1048576}, response: {template: "${body}", status: [2xx], maxBytes: 1048576}}}
  - {name: failing, match: {path: /failing}, auth: public, to: [{backend: gone}], body: {response: {template: '{"never": true}', status: [5xx]}}}
  - {name: passing, match: {path: /passing}, auth: public, to: [{backend: app}], body: {request: {template: "${body.z}", maxBytes: 1000}, response: {template: "${body.keep}", status: [2xx]}, onFailure: pass}}
  - {name: unpacking, match: {path: /unpacking}, auth: public, to: [{backend: app}], maxBodyBytes: 100000, decompress: [request], body: {request: {template: '["${body}"]'}, response: {template: '{"answer": "${body}"}', status: [200]}}}
  - {name: told, match: {path: /told}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}], body: {request: {template: '["${caller.user}", "${claims.tenant}", "${claims.?nothing}", "${request.headers[''x-page'']}"]'}}}
`

// mirrorOfJSON is a backend that answers with what it got: the body, or what the
// request's headers ask for.
func mirrorOfJSON(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(jsonMirror())
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func jsonMirror() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Got-Length", strconv.FormatInt(r.ContentLength, 10))
		w.Header().Set("Got-Accept-Encoding", r.Header.Get("Accept-Encoding"))
		w.Header().Set("Got-Query", r.URL.RawQuery)
		w.Header().Set("Got-Range", r.Header.Get("Range"))
		w.Header().Set("Got-Digest", r.Header.Get("Content-Digest"))
		w.Header().Set("Got", string(body[:min(len(body), 200)]))
		w.Header().Set("Content-Type", "application/json")
		for name, values := range r.Header {
			if answer, ok := strings.CutPrefix(name, "Answer-"); ok {
				w.Header()[answer] = values
			}
		}
		if said := r.Header.Get("Body"); said != "" {
			body = []byte(said)
		}
		if n, _ := strconv.Atoi(r.Header.Get("Long")); n > 0 {
			body = []byte(`{"keep": "` + strings.Repeat("x", n) + `"}`)
		}
		if w.Header().Get("Content-Encoding") == "gzip" {
			body = gzipped(body)
		}
		if r.Header.Get("Chunked") == "" {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		status, _ := strconv.Atoi(r.Header.Get("Status"))
		w.WriteHeader(max(200, status))
		for len(body) > 0 {
			n := min(len(body), 1000)
			w.Write(body[:n])
			body = body[n:]
			if r.Header.Get("Chunked") != "" {
				w.(http.Flusher).Flush()
			}
		}
	})
}

func startTemplates(t *testing.T) *gateway {
	t.Helper()
	return start(t, setup{config: templates, values: map[string]string{"app": mirrorOfJSON(t), "gone": testenv.Addr(t), "issuer": "https://id.example.com/"}})
}

var (
	asJSON  = header{"Content-Type", "application/json"}
	chunked = header{"Chunked", "1"}
)

// TestBodiesAreRewritten: a request's for the backend and an answer's for the client,
// to the digit, however long they say they are.
func TestBodiesAreRewritten(t *testing.T) {
	t.Parallel()
	g := startTemplates(t)
	const body = `{"z":12345678901234567890,"q":1.10,"secret":"s","ü":"\ud83d\ude00"}`
	const made = `{"made":{"z":12345678901234567890,"by":"POST /both"},"rest":{"q":1.10,"secret":"s","ü":"😀"}}`
	const answer = `{"made":{"z":12345678901234567890,"by":"POST /both"},"rest":{"q":1.10,"secret":"s","ü":"😀"},"status":201}`
	for name, c := range bothClients(t) {
		for _, said := range []bool{true, false} {
			for _, kind := range []string{"application/json", "application/vnd.shop+json; charset=UTF-8"} {
				r := sendBody(t, c, g.url("public", "/both"), []byte(body), said, header{"Content-Type", kind}, chunked, header{"Status", "201"},
					header{"Range", "bytes=0-5"}, header{"Accept-Encoding", "gzip"}, header{"Content-Digest", "sha-256=:x:"},
					header{"Answer-Etag", `"v1"`}, header{"Answer-Content-Digest", "sha-256=:x:"}, header{"Answer-Accept-Ranges", "bytes"})
				if r.Status != 201 || r.Body != answer {
					t.Errorf("%s %t: %d %s", name, said, r.Status, r.Body)
				}
				r.wantHeaders(t, map[string]string{
					"Got": made, "Got-Length": strconv.Itoa(len(made)), "Got-Range": "", "Got-Accept-Encoding": "", "Got-Digest": "", "X-Seen": "/both", "X-Sent": "/both",
					"Content-Length": strconv.Itoa(len(answer)), "Etag": "", "Content-Digest": "", "Accept-Ranges": "", "Content-Type": "application/json",
				})
			}
		}
	}
	// One direction leaves the other alone.
	r := sendBody(t, client, g.url("public", "/in"), []byte(` [ 1e400 ,"x"] `), true, asJSON, header{"Answer-Etag", `"v1"`}, header{"Body", "whatever"})
	if r.Header.Get("Got") != `[1e400,"x"]` || r.Body != "whatever" || r.Header.Get("Etag") != `"v1"` {
		t.Errorf("in: %v %s", r.Header, r.Body)
	}
	r = sendBody(t, client, g.url("public", "/out"), []byte("whatever"), true, header{"Body", `{"keep":-0.0,"s":2}`}, header{"Content-Type", "text/plain"})
	if r.Header.Get("Got") != "whatever" || r.Body != `{"kept":-0.0}` || r.Header.Get("X-Seen") != "/out" {
		t.Errorf("out: %v %s", r.Header, r.Body)
	}
	// What is long, and longer than Envoy holds for others.
	long := `"` + strings.Repeat("é", 500_000) + `"`
	for _, said := range []bool{true, false} {
		if r := sendBody(t, client, g.url("public", "/large"), []byte(long), said, asJSON, chunked); r.Status != 200 || r.Body != long {
			t.Errorf("a long body: %d, %d bytes", r.Status, len(r.Body))
		}
	}
	// It is compressed behind that.
	r = get(t, g.url("public", "/out"), header{"Long", "3000"}, header{"Accept-Encoding", "gzip"}).ok(t)
	if text := unpacked(t, r); r.Header.Get("Content-Encoding") != "gzip" || text != `{"kept":"`+strings.Repeat("x", 3000)+`"}` {
		t.Errorf("compressed: %v, %d bytes", r.Header, len(text))
	}
	if n := strings.Count(g.metrics(), `gatewright_body_rewrites_total{direction="request",result="rewritten",route="both"} 8`); n != 1 {
		t.Error("the rewrites are not counted")
	}
}

// TestWhatHasNoBody stays without one, and answers that are not meant stay as they are.
func TestWhatHasNoBody(t *testing.T) {
	t.Parallel()
	g := startTemplates(t)
	r := get(t, g.url("public", "/both"), header{"Body", `{"secret":1}`}).ok(t)
	if r.Header.Get("Got-Length") != "0" || r.Body != `{"status":200}` {
		t.Errorf("GET: %v %s", r.Header, r.Body)
	}
	if r := sendBody(t, client, g.url("public", "/both"), nil, false, header{"Body", `{}`}, asJSON); r.Status != 200 || r.Header.Get("Got") != "" {
		t.Errorf("an empty body: %d %v", r.Status, r.Header)
	}
	r = do(t, http.MethodHead, g.url("public", "/out"), header{"Body", `{"keep":1,"s":2}`}, header{"Answer-Etag", `"v1"`}).ok(t)
	r.wantHeaders(t, map[string]string{"Content-Length": "", "Etag": "", "Content-Type": "application/json"})
	if r := get(t, g.url("public", "/out"), header{"Status", "204"}); r.Status != 204 || r.Body != "" {
		t.Errorf("204: %d %s", r.Status, r.Body)
	}
	if r := get(t, g.url("public", "/out"), header{"Status", "404"}, header{"Body", `{"keep":null}`}); r.Status != 404 || r.Body != `{"kept":null}` {
		t.Errorf("404: %d %s", r.Status, r.Body)
	}
	// Another status goes on as it is, however long it is.
	r = get(t, g.url("public", "/out"), header{"Status", "500"}, header{"Long", "200000"}, chunked, header{"Answer-Etag", `"v1"`}, header{"Answer-Content-Type", "text/html"})
	if r.Status != 500 || len(r.Body) != 200012 || r.Header.Get("Etag") != `"v1"` {
		t.Errorf("500: %d %d %v", r.Status, len(r.Body), r.Header)
	}
	// An answer of the gateway's own is none of the backend's.
	get(t, g.url("public", "/failing")).denied(t, 503, "backend-failed")
}

// TestTemplatesOfOneRoute: a template is there for its route, whatever other routes are
// without, and wherever it stands among them.
func TestTemplatesOfOneRoute(t *testing.T) {
	t.Parallel()
	const before = "listeners: [{name: public, address: '{{listen \"public\"}}'}]\nbackends: {app: {endpoints: ['{{.app}}']}}\nroutes:\n"
	const plain = "  - {name: plain, match: {path: /plain}, auth: public, to: [{backend: app}]}\n"
	const out = "  - {name: out, match: {path: /out}, auth: public, to: [{backend: app}], body: {response: {template: '{\"kept\": \"${body.keep}\"}', status: [200]}}}\n"
	for place, routes := range map[string]string{"first": out + plain, "last": plain + out} {
		g := start(t, setup{config: before + routes, values: map[string]string{"app": mirrorOfJSON(t)}})
		if r := get(t, g.url("public", "/out"), header{"Body", `{"keep":1,"secret":2}`}); r.Body != `{"kept":1}` {
			t.Errorf("%s: %d %s", place, r.Status, r.Body)
		}
		if r := get(t, g.url("public", "/plain"), header{"Body", `{"keep":1}`}); r.Body != `{"keep":1}` {
			t.Errorf("%s: the other route's: %d %s", place, r.Status, r.Body)
		}
	}
}

// TestBodiesThatAreNotRewritten do not go on.
func TestBodiesThatAreNotRewritten(t *testing.T) {
	t.Parallel()
	g := startTemplates(t)
	for _, c := range []struct {
		what, path, body string
		status           int
		reason           string
		headers          []header
	}{
		{"no JSON", "/both", `{"z":1`, 400, "body-invalid", []header{asJSON}},
		{"a member twice", "/both", `{"z":1,"z":2}`, 400, "body-invalid", []header{asJSON}},
		{"half of a pair", "/both", `{"z":"\ud800"}`, 400, "body-invalid", []header{asJSON}},
		{"bytes that are no text", "/both", "{\"z\":\"\xff\"}", 400, "body-invalid", []header{asJSON}},
		{"more than one value", "/both", `{"z":1} {}`, 400, "body-invalid", []header{asJSON}},
		{"what nests deep", "/both", strings.Repeat("[", 50_000), 400, "body-invalid", []header{asJSON}},
		{"what lacks a member", "/both", `{"y":1}`, 400, "body-unfit", []header{asJSON}},
		{"what grows", "/both", `{"z":1,"a":"` + strings.Repeat("x", 40_000) + `"}`, 400, "body-unfit", []header{asJSON}},
		{"another type", "/both", `{"z":1}`, 415, "body-type-refused", []header{{"Content-Type", "text/json"}}},
		{"no type", "/both", `{"z":1}`, 415, "body-type-refused", []header{{"Content-Type", ""}}},
		{"another charset", "/both", `{"z":1}`, 415, "body-type-refused", []header{{"Content-Type", "application/json; charset=utf-16"}}},
		{"two types", "/both", `{"z":1}`, 415, "body-type-refused", []header{asJSON, {"Content-Type", "text/plain"}}},
		{"a coding", "/both", `{"z":1}`, 415, "body-encoding-refused", []header{asJSON, {"Content-Encoding", "gzip"}}},
		{"too much", "/in", strings.Repeat(" ", 1001), 413, "body-too-large", []header{asJSON}},
		{"an answer of another type", "/out", "{}", 502, "response-invalid", []header{asJSON, {"Body", `{"keep":"secret"}`}, {"Answer-Content-Type", "text/html"}}},
		{"an answer that is no JSON", "/out", "{}", 502, "response-invalid", []header{asJSON, {"Body", `{"keep":"secret"`}}},
		{"an answer without the member", "/out", "{}", 502, "response-invalid", []header{asJSON, {"Body", `{"secret":1}`}}},
		{"an answer in a coding", "/out", "{}", 502, "response-invalid", []header{asJSON, {"Body", `{"keep":"secret"}`}, {"Answer-Content-Encoding", "gzip"}}},
		{"a long answer", "/out", "{}", 502, "response-invalid", []header{asJSON, {"Long", "70000"}}},
		{"a long answer that does not say so", "/out", "{}", 502, "response-invalid", []header{asJSON, {"Long", "70000"}, chunked}},
	} {
		for _, said := range []bool{true, false} {
			r := sendBody(t, client, g.url("public", c.path), []byte(c.body), said, c.headers...)
			if slices.Contains(c.headers, chunked) && r.Status == 504 {
				// It was there before the gateway's word on its headers: then Envoy holds as much as
				// it may of it, reads no more, and waits for the rest (docs/transform.md).
				r.denied(t, 504, "backend-timeout")
				continue
			}
			if r.Status != c.status || strings.Contains(r.Body, "secret") || r.Header.Get("Got") != "" {
				t.Errorf("%s: %d %v %.200s", c.what, r.Status, r.Header, r.Body)
				continue
			}
			r.denied(t, c.status, c.reason)
		}
	}
	// Where the config says so, they do.
	r := sendBody(t, client, g.url("public", "/passing"), []byte("{"), true, asJSON)
	if r.Status != 200 || r.Body != "{" || r.Header.Get("Got") != "{" {
		t.Errorf("no JSON: %d %v %s", r.Status, r.Header, r.Body)
	}
	r = sendBody(t, client, g.url("public", "/passing"), []byte("x"), false, header{"Content-Type", "text/plain"}, header{"Body", `{"keep":1}`}, chunked)
	if r.Status != 200 || r.Body != "1" || r.Header.Get("Got") != "x" {
		t.Errorf("no JSON by its type: %d %v %s", r.Status, r.Header, r.Body)
	}
	r = get(t, g.url("public", "/passing"), header{"Answer-Content-Type", "text/html"}, header{"Long", "300000"}, chunked)
	if r.Status != 200 || len(r.Body) != 300012 {
		t.Errorf("an answer of another type: %d, %d bytes", r.Status, len(r.Body))
	}
	sendBody(t, client, g.url("public", "/passing"), bytes.Repeat([]byte(" "), 1001), false, asJSON).denied(t, 413, "body-too-large")
}

// TestTemplatesBesideOthers: of bodies that are unpacked, calls that are transcoded,
// and callers who are known.
func TestTemplatesBesideOthers(t *testing.T) {
	t.Parallel()
	s, id := newShop(t), idp(t)
	set := filepath.Join(t.TempDir(), "orders.pb")
	if err := os.WriteFile(set, s.set, 0o600); err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(templates, "auth:\n", "  orders: {endpoints: [\""+s.addr+"\"], protocol: grpc}\nauth:\n", 1) + `
  - name: call
    match: {path: /api/v1/orders}
    auth: public
    to: [{backend: orders}]
    grpcTranscode: {descriptor: "` + set + `", services: [shop.v1.Orders]}
    body:
      request: {template: '{"id": "${body.number}", "customerName": "${body.name}"}'}
      response: {template: '{"order": "${body}"}', status: [200]}
`
	g := start(t, setup{config: config, values: map[string]string{"app": mirrorOfJSON(t), "gone": testenv.Addr(t), "issuer": id.Issuer()}})
	r := sendBody(t, client, g.url("public", "/unpacking"), gzipped([]byte(`{"a":1.10}`)), true, asJSON, header{"Content-Encoding", "gzip"}).ok(t)
	if r.Header.Get("Got") != `[{"a":1.10}]` || r.Body != `{"answer":[{"a":1.10}]}` || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("unpacked: %v %s", r.Header, r.Body)
	}
	r = sendBody(t, client, g.url("public", "/api/v1/orders"), []byte(`{"number":9007199254740993,"name":"ann"}`), true, asJSON).ok(t)
	if r.Body != `{"order":{"id":"9007199254740993","customerName":"ann"}}` {
		t.Errorf("transcoded: %s", r.Body)
	}
	sendBody(t, client, g.url("public", "/api/v1/orders"), []byte(`{"number":"x","name":"ann"}`), true, asJSON).denied(t, 400, "message-invalid")
	r = sendBody(t, client, g.url("public", "/told"), []byte(`{}`), true, asJSON, header{"X-Page", "7"}, bearer(id.Token(map[string]any{"sub": "änn 100%", "tenant": "a\r\nb"}))).ok(t)
	if want := `["änn 100%","a\r\nb","7"]`; r.Body != want {
		t.Errorf("told: %s, want %s", r.Body, want)
	}
	sendBody(t, client, g.url("public", "/told"), []byte(`{}`), true, asJSON, header{"X-Page", "7"}, bearer(id.Token(map[string]any{"sub": "ann"}))).denied(t, 400, "body-unfit")
	sendBody(t, client, g.url("public", "/told"), []byte(`{`), true, asJSON).denied(t, 401, "credential-missing")
}

// TestTemplatesOfLargeConfigs: host by host, whatever letters a host is written in.
func TestTemplatesOfLargeConfigs(t *testing.T) {
	t.Parallel()
	config := strings.Replace(templates, "match: {path: /both}", "match: {hosts: [api.example.com], path: /both}", 1)
	g := start(t, setup{config: config + manyRoutes(100, 10), values: map[string]string{"app": mirrorOfJSON(t), "gone": testenv.Addr(t), "issuer": "https://id.example.com/"}})
	for _, host := range []string{"api.example.com", "API.Example.com"} {
		r := sendBody(t, client, g.url("public", "/both"), []byte(`{"z":1,"q":"`+strings.Repeat("x", 50_000)+`"}`), false, asJSON, header{"Host", host})
		if r.Status != 200 || !strings.HasPrefix(r.Header.Get("Got"), `{"made":{"z":1`) || !strings.HasSuffix(r.Body, `"status":200}`) {
			t.Errorf("%s: %d %v %.100s", host, r.Status, r.Header, r.Body)
		}
		sendBody(t, client, g.url("public", "/both"), []byte(`{`), false, asJSON, header{"Host", host}).denied(t, 400, "body-invalid")
	}
}

// TestRewritingFailsClosed: while the gateway's own process is away, and when it stands
// still, no body passes as it is, unless the config says so; and then it is as before.
func TestRewritingFailsClosed(t *testing.T) {
	t.Parallel()
	g := launch(t, setup{config: templates, serve: true, values: map[string]string{"app": mirrorOfJSON(t), "gone": testenv.Addr(t), "issuer": "https://id.example.com/"}})
	g.waitReady()
	startWatchedEnvoy(t, g)
	works := func() error {
		r := sendBody(t, client, g.url("public", "/both"), []byte(`{"z":1,"secret":"s"}`), true, asJSON)
		if r.Status != 200 || r.Header.Get("Got") != `{"made":{"z":1,"by":"POST /both"},"rest":{"secret":"s"}}` {
			return fmt.Errorf("%d %s", r.Status, r.Body)
		}
		return nil
	}
	eventually(t, "bodies are rewritten", works)
	fails := func() {
		t.Helper()
		sendBody(t, client, g.url("public", "/both"), []byte(`{"z":1,"secret":"s"}`), true, asJSON).denied(t, 503, "rewrite-unavailable")
		get(t, g.url("public", "/out"), header{"Body", `{"keep":1,"secret":"s"}`}).denied(t, 503, "rewrite-unavailable")
		get(t, g.url("public", "/plain")).ok(t)
		r := sendBody(t, client, g.url("public", "/passing"), []byte(`{"z":1,"q":2}`), true, asJSON)
		if r.Status != 200 || r.Body != `{"z":1,"q":2}` {
			t.Errorf("where it may pass: %d %s", r.Status, r.Body)
		}
	}
	haltProcess(t, g.cmd.Process)
	fails()
	if err := g.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bodies are rewritten once it goes on", works)
	g.kill()
	fails()
	g.launch("serve")
	eventually(t, "bodies are rewritten once it is back", works)
}

// haltProcess stops a process, and returns when all of its threads stand: some of them go
// on for a moment.
func haltProcess(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process stands", func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Pid))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("no threads of %d: %v", p.Pid, err)
		}
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if err != nil {
				return err
			}
			_, state, _ := strings.Cut(string(stat), ") ")
			if !strings.HasPrefix(state, "T") {
				return fmt.Errorf("a thread is in state %.1s", state)
			}
		}
		return nil
	})
}
