package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const backendErrors = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  gone: {endpoints: ["{{.gone}}"]}
auth:
  apiKey: {keys: {}}
errors:
  - {status: [404, 5xx], from: any, accept: text/html, contentType: text/html; charset=utf-8, body: "<h1>${status} ${title}</h1><p>${reason}</p>100% $${x} ${request_id}"}
  - {status: [5xx], from: backend, contentType: application/json, body: '{"error": {"code": ${status}, "text": "${title}: ${detail}"}}'}
  - {status: [401], contentType: text/plain, body: "nobody"}
routes:
  - {name: hello, match: {path: /hello}, auth: public, respond: {status: 200}}
  - {name: app, match: {path: /app}, auth: public, to: [{backend: app}]}
  - {name: packed, match: {path: /packed}, auth: public, to: [{backend: app}], compress: {contentTypes: [text/html], minBytes: 10}}
  - {name: said, match: {path: /said}, auth: public, respond: {status: 404, body: "as it is"}}
  - {name: gone, match: {path: /gone}, auth: public, to: [{backend: gone}]}
  - {name: closed, match: {path: /closed}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
  - name: own
    match: {path: /own}
    auth: {anyOf: [{apiKey: keys}]}
    to: [{backend: app}]
    maxBodyBytes: 10
    body: {response: {template: "${body}", status: [2xx]}}
    errors:
      - {status: [404, 413, 502], from: any, contentType: text/plain, body: "own ${status} ${reason}"}
      - {status: [401], accept: text/html, contentType: text/html, body: "<b>own</b>"}
`

// failing is a backend that answers with the status that it is asked for, and a body
// that nobody is to see.
func failing(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{"Content-Type": "text/x-secret", "Etag": `"secret"`, "Content-Language": "de", "X-Kept": "1"} {
			w.Header().Set(name, value)
		}
		if kind := r.Header.Get("Answer-Content-Type"); kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		body := strings.Repeat("secret ", 1)
		if n, _ := strconv.Atoi(r.Header.Get("Long")); n > 0 {
			body = strings.Repeat("secret ", n)
		}
		if r.Header.Get("Empty") != "" {
			body = ""
		}
		if r.Header.Get("Packed") != "" {
			w.Header().Set("Content-Encoding", "gzip")
			body = string(gzipped([]byte(body)))
		}
		if r.Header.Get("Chunked") == "" {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		status, _ := strconv.Atoi(r.Header.Get("Status"))
		w.WriteHeader(max(200, status))
		for len(body) > 0 {
			n := min(len(body), 50_000)
			w.Write([]byte(body[:n]))
			body = body[n:]
			if r.Header.Get("Chunked") != "" {
				w.(http.Flusher).Flush()
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestErrorsOfBackendsInOwnWords: a backend's body is replaced, all of it, however long
// it is and whether it says so; and what tells of its bytes goes with it.
func TestErrorsOfBackendsInOwnWords(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: backendErrors, values: map[string]string{"app": failing(t), "gone": testenv.Addr(t)}})
	for _, c := range bothClients(t) {
		for what, more := range map[string][]header{
			"a short body":                    nil,
			"one that does not say how long":  {{"Chunked", "1"}},
			"a long one":                      {{"Long", "100000"}},
			"a long one that does not say so": {{"Long", "100000"}, {"Chunked", "1"}},
			"none":                            {{"Empty", "1"}},
			"none that does not say so":       {{"Empty", "1"}, {"Chunked", "1"}},
			"a compressed one":                {{"Packed", "1"}},
		} {
			r := sendBody(t, c, g.url("public", "/app"), nil, true, append(more, header{"Status", "404"}, header{"Accept", "image/png, Text/HTML;level=1;q=0.9"})...)
			if r.Status != 404 || !strings.HasPrefix(r.Body, "<h1>404 Not Found</h1><p>backend-error</p>100% ${x} ") || len(r.Body) < 80 || strings.Contains(r.Body, "secret") {
				t.Errorf("%s: %d %.200q", what, r.Status, r.Body)
			}
			r.wantHeaders(t, map[string]string{
				"Content-Type": "text/html; charset=utf-8", "Content-Length": strconv.Itoa(len(r.Body)), "Etag": "", "Content-Language": "", "Content-Encoding": "", "X-Kept": "1", "X-Gatewright-Origin": "",
			})
			r = sendBody(t, c, g.url("public", "/app"), nil, true, append(more, header{"Status", "503"}, header{"Accept", "application/json"})...)
			if want := `{"error": {"code": 503, "text": "Service Unavailable: the backend could not do what was asked"}}`; r.Status != 503 || r.Body != want || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %.200q", what, r.Status, r.Body)
			}
		}
	}
	head := do(t, http.MethodHead, g.url("public", "/app"), header{"Status", "500"}, header{"Accept", "application/json"})
	head.wantHeaders(t, map[string]string{"Content-Type": "application/json", "Content-Length": "98", "Etag": ""})
	if head.Status != 500 {
		t.Errorf("HEAD: %d", head.Status)
	}
	r := get(t, g.url("public", "/packed"), header{"Status", "404"}, header{"Accept", "text/html"}, header{"Accept-Encoding", "gzip"})
	if text := unpacked(t, r); r.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(text, "<h1>404") {
		t.Errorf("compressed: %v %.200q", r.Header, text)
	}
	if line := g.logged("/packed"); fmt.Sprint(line["status"]) != "404" {
		t.Errorf("the log has another status: %v", line)
	}
}

// TestErrorsOfBackendsThatStay: what no entry is for, what is no error, what the gateway
// says, and calls.
func TestErrorsOfBackendsThatStay(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: backendErrors, values: map[string]string{"app": failing(t), "gone": testenv.Addr(t)}})
	for what, headers := range map[string][]header{
		"another type":        {{"Status", "404"}, {"Accept", "application/json"}},
		"no Accept":           {{"Status", "404"}},
		"all types":           {{"Status", "404"}, {"Accept", "*/*"}},
		"a weight of nothing": {{"Status", "404"}, {"Accept", "text/html;q=0, text/plain"}},
		"another such":        {{"Status", "404"}, {"Accept", "text/html; q=0.000"}},
		"another status":      {{"Status", "403"}, {"Accept", "text/html"}},
		"no error":            {{"Status", "200"}, {"Accept", "text/html"}},
		"one of the gateway":  {{"Status", "401"}, {"Accept", "text/html"}},
		"a call":              {{"Status", "500"}, {"Accept", "text/html"}, {"Content-Type", "application/grpc"}},
		"an answer to a call": {{"Status", "500"}, {"Accept", "text/html"}, {"Answer-Content-Type", "application/grpc+proto"}},
	} {
		r := get(t, g.url("public", "/app"), headers...)
		if r.Body != "secret " || r.Header.Get("Etag") == "" || r.Header.Get("X-Gatewright-Origin") != "" || strconv.Itoa(r.Status) != headers[0].value {
			t.Errorf("%s: %d %v %.200q", what, r.Status, r.Header, r.Body)
		}
	}
	if r := get(t, g.url("public", "/said"), header{"Accept", "text/html"}); r.Status != 404 || r.Body != "as it is" {
		t.Errorf("a route's own answer: %d %s", r.Status, r.Body)
	}
	if r := get(t, g.url("public", "/gone"), header{"Accept", "text/html"}); r.Status != 503 || !strings.HasPrefix(r.Body, "<h1>503 Service Unavailable</h1><p>backend-failed</p>") {
		t.Errorf("the gateway's: %d %s", r.Status, r.Body)
	}
	get(t, g.url("public", "/gone"), header{"Accept", "application/json"}).denied(t, 503, "backend-failed")
}

// TestErrorsOfARoute come before those of the config, whoever answers; and others are
// as they were.
func TestErrorsOfARoute(t *testing.T) {
	t.Parallel()
	for form, filling := range map[string]string{"whole": "", "host by host": manyRoutes(100, 10)} {
		g := start(t, setup{config: backendErrors + filling, values: map[string]string{"app": failing(t), "gone": testenv.Addr(t)}})
		key := g.createKey().header()
		get(t, g.url("public", "/own"), key, header{"Answer-Content-Type", "application/json"}) // until the key is known
		for _, c := range []struct {
			what, path, accept string
			status             int
			want               string
			headers            []header
		}{
			{"a backend's", "/own", "text/html", 404, "own 404 backend-error", []header{key, {"Status", "404"}}},
			{"the config's", "/own", "text/html", 500, "<h1>500 Internal Server Error</h1>", []header{key, {"Status", "500"}}},
			{"the bound's", "/own", "text/html", 413, "own 413 body-too-large", []header{key}},
			{"the template's", "/own", "text/html", 502, "own 502 response-invalid", []header{key}},
			{"the judge's", "/own", "text/html", 401, "<b>own</b>", nil},
			{"the judge's by the config", "/own", "text/plain", 401, "nobody", nil},
			{"another route's", "/closed", "text/html", 401, "nobody", nil},
			{"another route's, of its backend", "/app", "text/html", 404, "<h1>404 Not Found</h1>", []header{{"Status", "404"}}},
		} {
			var body []byte
			if c.status == 413 {
				body = []byte("eleven bytes")
			}
			r := sendBody(t, client, g.url("public", c.path), body, true, append(c.headers, header{"Accept", c.accept})...)
			if r.Status != c.status || !strings.HasPrefix(r.Body, c.want) || r.Header.Get("X-Gatewright-Origin") != "" {
				t.Errorf("%s, %s: %d %s, want %s", form, c.what, r.Status, r.Body, c.want)
			}
		}
	}
}
