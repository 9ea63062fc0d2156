package test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// talker is a backend that answers what the request's headers ask for, and tells
// the length of the body that it got.
func talker(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // Envoy has given up
		}
		text := []byte(strings.Repeat("Lorem ipsum. ", 200))
		for name, values := range r.Header {
			if answer, ok := strings.CutPrefix(name, "Answer-"); ok {
				w.Header()[answer] = values
			}
		}
		w.Header().Set("Got", fmt.Sprint(len(body)))
		w.Header().Set("Got-Encoding", r.Header.Get("Content-Encoding"))
		if w.Header().Get("Content-Encoding") == "gzip" {
			text = gzipped(text)
		}
		if r.Header.Get("Short") != "" {
			text = text[:50]
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		if w.Header().Get("Content-Range") != "" {
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(text)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func zstandard(t *testing.T, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

// unpacked is a body in the coding that the answer names.
func unpacked(t *testing.T, r reply) string {
	t.Helper()
	var from io.Reader = strings.NewReader(r.Body)
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "":
	case "gzip":
		z, err := gzip.NewReader(from)
		if err != nil {
			t.Fatal(err)
		}
		from = z
	case "br":
		from = brotli.NewReader(from)
	case "zstd":
		z, err := zstd.NewReader(from)
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		from = z
	default:
		t.Fatalf("content encoding %q", coding)
	}
	data, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const bodies = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  apiKey: {keys: {}}
routes:
  - {name: plain, match: {path: /plain}, auth: public, to: [{backend: app}]}
  - {name: compressed, match: {path: /compressed}, auth: public, to: [{backend: app}], compress: true}
  - {name: chosen, match: {path: /chosen}, auth: public, to: [{backend: app}], compress: {algorithms: [gzip, br], contentTypes: [application/json], minBytes: 40, level: small}}
  - {name: off, match: {path: /off}, auth: public, to: [{backend: app}], compress: false}
  - {name: bounded, match: {path: /bounded}, auth: public, to: [{backend: app}], maxBodyBytes: 1000}
  - {name: closed, match: {path: /closed}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}], maxBodyBytes: 1000}
  - {name: split, match: {path: /split}, auth: public, to: [{backend: app, weight: 1}, {backend: app-2, weight: 1}], maxBodyBytes: 1000}
  - {name: unpacked, match: {path: /unpacked}, auth: public, to: [{backend: app}], maxBodyBytes: 100000, decompress: [request]}
  - {name: opened, match: {path: /opened}, auth: public, to: [{backend: app}], decompress: [response]}
`

func startBodies(t *testing.T) *gateway {
	t.Helper()
	app := talker(t)
	config := strings.Replace(bodies, "auth:\n", "  app-2: {endpoints: [\""+app+"\"]}\nauth:\n", 1)
	return start(t, setup{config: config, values: map[string]string{"app": app}})
}

// TestCompression: what a client likes best, and never what it does not take.
func TestCompression(t *testing.T) {
	t.Parallel()
	g := startBodies(t)
	text := strings.Repeat("Lorem ipsum. ", 200)
	json := header{"Answer-Content-Type", "application/json; charset=utf-8"}
	for _, c := range []struct{ path, accept, want string }{
		{"/compressed", "gzip, deflate, br, zstd", "zstd"},
		{"/compressed", "gzip", "gzip"},
		{"/compressed", "br", "br"},
		{"/compressed", "zstd;q=0.1, br;q=0.2, gzip;q=0.3", "gzip"},
		{"/compressed", "zstd;q=0, br;q=0.5, gzip;q=0.5", "br"},
		{"/compressed", "zstd;q=0, gzip;q=0.5, br;q=0.5", "gzip"},
		{"/compressed", "gzip;q=0, br;q=0, zstd;q=0", ""},
		{"/compressed", "identity", ""},
		{"/compressed", "deflate", ""},
		{"/compressed", "", ""},
		{"/chosen", "gzip, deflate, br, zstd", "gzip"},
		{"/chosen", "zstd", ""},
		{"/plain", "gzip, br, zstd", ""},
		{"/off", "gzip, br, zstd", ""},
	} {
		r := get(t, g.url("public", c.path), header{"Accept-Encoding", c.accept}, json, header{"Answer-Etag", `"v1"`}, header{"Answer-Vary", "Origin"}).ok(t)
		if got := r.Header.Get("Content-Encoding"); got != c.want {
			t.Errorf("%s for %q is encoded as %q, want %q", c.path, c.accept, got, c.want)
			continue
		}
		if got := unpacked(t, r); got != text {
			t.Errorf("%s for %q: %d bytes, want the %d of the backend", c.path, c.accept, len(got), len(text))
		}
		etag, vary := `"v1"`, strings.Join(r.Header.Values("Vary"), ",")
		if c.want != "" {
			etag = `W/"v1"`
			if len(r.Body) >= len(text)/4 {
				t.Errorf("%s as %s has %d bytes", c.path, c.want, len(r.Body))
			}
		}
		if got := r.Header.Get("Etag"); got != etag {
			t.Errorf("%s as %q: ETag %s, want %s", c.path, c.want, got, etag)
		}
		if compresses := c.path == "/compressed" || c.path == "/chosen"; compresses != strings.Contains(vary, "Accept-Encoding") || !strings.Contains(vary, "Origin") {
			t.Errorf("%s for %q: Vary is %q", c.path, c.accept, vary)
		}
	}
}

// TestWhatIsNotCompressed: answers that are whole as they are, or for now.
func TestWhatIsNotCompressed(t *testing.T) {
	t.Parallel()
	g := startBodies(t)
	for what, headers := range map[string][]header{
		"a stream of events":       {{"Answer-Content-Type", "text/event-stream"}},
		"an image":                 {{"Answer-Content-Type", "image/png"}},
		"a part of a file":         {{"Answer-Content-Type", "text/plain"}, {"Answer-Content-Range", "bytes 0-9/20"}},
		"what must not be changed": {{"Answer-Content-Type", "text/plain"}, {"Answer-Cache-Control", "no-transform"}},
		"what is short":            {{"Answer-Content-Type", "text/plain"}, {"Short", "1"}},
	} {
		r := get(t, g.url("public", "/compressed"), append(headers, header{"Accept-Encoding", "gzip, br, zstd"})...)
		if got := r.Header.Get("Content-Encoding"); got != "" {
			t.Errorf("%s is encoded as %q", what, got)
		}
	}
	r := get(t, g.url("public", "/compressed"), header{"Accept-Encoding", "gzip, br, zstd"}, header{"Answer-Content-Type", "text/plain"}, header{"Answer-Content-Encoding", "gzip"}).ok(t)
	if got := strings.Join(r.Header.Values("Content-Encoding"), "|"); got != "gzip" || len(unpacked(t, r)) != 2600 {
		t.Errorf("what was compressed already is encoded as %q", got)
	}
	if r := get(t, g.url("public", "/chosen"), header{"Accept-Encoding", "gzip"}, header{"Answer-Content-Type", "text/plain"}); r.Header.Get("Content-Encoding") != "" {
		t.Error("a type that the route does not name was compressed")
	}
}

// unsized hides how long a body is.
type unsized struct{ io.Reader }

// sendBody sends a body, of which the length is said or not, by HTTP/1.1 or HTTP/2.
func sendBody(t *testing.T, c *http.Client, url string, body []byte, said bool, headers ...header) reply {
	t.Helper()
	var from io.Reader = bytes.NewReader(body)
	if !said {
		from = unsized{from}
	}
	req, err := http.NewRequest(http.MethodPost, url, from)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		if h.name == "Host" {
			req.Host = h.value
		} else {
			req.Header.Add(h.name, h.value)
		}
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// overHTTP2 is a client that speaks HTTP/2 from its first byte on.
func overHTTP2(t *testing.T) *http.Client {
	t.Helper()
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: client.Timeout}
}

// TestBodiesHaveABound: whichever way a body comes, and whoever judges the request.
func TestBodiesHaveABound(t *testing.T) {
	t.Parallel()
	g := startBodies(t)
	key := g.createKey()
	fits, over := bytes.Repeat([]byte("a"), 1000), bytes.Repeat([]byte("a"), 1001)
	for name, c := range map[string]*http.Client{"HTTP/1.1": client, "HTTP/2": overHTTP2(t)} {
		for _, path := range []string{"/bounded", "/closed", "/split"} {
			for _, said := range []bool{true, false} {
				r := sendBody(t, c, g.url("public", path), fits, said, key.header()).ok(t)
				if got := r.Header.Get("Got"); got != "1000" {
					t.Errorf("%s %s: the backend got %s bytes", name, path, got)
				}
				sendBody(t, c, g.url("public", path), over, said, key.header()).denied(t, http.StatusRequestEntityTooLarge, "body-too-large")
			}
		}
		sendBody(t, c, g.url("public", "/plain"), bytes.Repeat(over, 100), false).ok(t)
		sendBody(t, c, g.url("public", "/closed"), over, true).denied(t, http.StatusUnauthorized, "credential-missing")
	}
	line := g.logged("/bounded")
	if line["route"] != "bounded" {
		t.Errorf("access log: %v", line)
	}
}

// TestPackedBodies: they are unpacked within the bound, and no bomb goes off.
func TestPackedBodies(t *testing.T) {
	t.Parallel()
	g := startBodies(t)
	url := g.url("public", "/unpacked")
	document, err := json.Marshal(strings.Repeat("x", 90_000))
	if err != nil {
		t.Fatal(err)
	}
	bomb := bytes.Repeat([]byte{0}, 50<<20)
	for coding, pack := range map[string]func([]byte) []byte{
		"gzip": gzipped,
		"zstd": func(b []byte) []byte { return zstandard(t, b) },
	} {
		r := sendBody(t, client, url, pack(document), true, header{"Content-Encoding", coding}).ok(t)
		if got := r.Header.Get("Got") + r.Header.Get("Got-Encoding"); got != fmt.Sprint(len(document)) {
			t.Errorf("%s: the backend got %s", coding, got)
		}
		for _, said := range []bool{true, false} {
			sendBody(t, client, url, pack(bomb), said, header{"Content-Encoding", coding}).denied(t, http.StatusRequestEntityTooLarge, "body-too-large")
		}
	}
	sendBody(t, client, url, document, true).ok(t)
	sendBody(t, client, url, document, true, header{"Content-Encoding", "identity"}).ok(t)
	for _, coding := range []string{"br", "deflate", "gzip, zstd", "gzip, gzip", "x"} {
		r := sendBody(t, client, url, gzipped(document), true, header{"Content-Encoding", coding})
		r.denied(t, http.StatusUnsupportedMediaType, "body-encoding-refused")
	}
	// Where nothing is unpacked, the backend gets what was sent.
	packed := gzipped(document)
	r := sendBody(t, client, g.url("public", "/plain"), packed, true, header{"Content-Encoding", "gzip"}).ok(t)
	if got := r.Header.Get("Got") + r.Header.Get("Got-Encoding"); got != fmt.Sprint(len(packed))+"gzip" {
		t.Errorf("without decompress the backend got %s", got)
	}
}

// TestPackedAnswers: they are unpacked for clients.
func TestPackedAnswers(t *testing.T) {
	t.Parallel()
	g := startBodies(t)
	r := get(t, g.url("public", "/opened"), header{"Answer-Content-Encoding", "gzip"}, header{"Answer-Content-Type", "text/plain"}).ok(t)
	if got := r.Header.Get("Content-Encoding"); got != "" || len(r.Body) != 2600 {
		t.Errorf("the answer is encoded as %q, %d bytes", got, len(r.Body))
	}
}
