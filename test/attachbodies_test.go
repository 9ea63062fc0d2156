package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const attachedDocument = `
openapi: 3.0.3
info: {title: Orders, version: "1"}
paths:
  /orders:
    post: &said
      requestBody:
        content:
          application/json: {schema: {type: object, additionalProperties: false, properties: {sku: {type: string, pattern: "^[a-z-]+$"}, note: {type: string}}}}
      responses: {"200": {description: ok}}
    get: *said
    delete: {responses: {"200": {description: ok}}}
`

const attachedBodies = `
listeners:
  - {name: unused, address: "{{listen "unused"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
openapi:
  orders: {document: orders.yaml}
routes:
  - {name: orders, match: {path: /orders}, auth: public, to: [{backend: app}], openapi: {document: orders, validate: request, maxBody: 4096}}
  - {name: other, match: {path: /other}, auth: public, to: [{backend: app}]}
`

// bodySenders are the ways in which somebody's Envoy sends bodies, as its config says.
var bodySenders = map[string]string{
	"whole":   "{max_request_bytes: 4096, pack_as_bytes: true}",
	"text":    "{max_request_bytes: 4096}",
	"small":   "{max_request_bytes: 64, pack_as_bytes: true}",
	"partial": "{max_request_bytes: 64, pack_as_bytes: true, allow_partial_message: true}",
	"none":    "",
}

// startAttachedBodies runs a Gatewright that holds requests to a document for an Envoy that
// is not its own, with a listener for each of bodySenders in both forms of headers.
func startAttachedBodies(t *testing.T) (*gateway, service) {
	t.Helper()
	app, socket := backend(t, "app"), filepath.Join(testenv.ShortDir(t), "judge")
	g := prepared(t, setup{config: attachedBodies, serve: true, env: []string{"GATEWRIGHT_GRPC_ADDR=unix:" + socket}, values: map[string]string{"app": app.Addr()}})
	g.writeFile("orders.yaml", []byte(attachedDocument))
	g.launch("serve")
	g.waitReady()
	t.Cleanup(g.stop)
	var listeners []map[string]any
	var addresses []string
	for name, bodies := range bodySenders {
		for suffix, raw := range map[string]bool{"-raw": true, "-joined": false} {
			addr := testenv.Addr(t)
			listeners = append(listeners, map[string]any{"name": name + suffix, "raw": raw, "port": portOf(t, addr), "bodies": bodies})
			addresses = append(addresses, addr)
			g.listeners[name+suffix] = addr
		}
	}
	foreignEnvoy(t, "testdata/attachedbodies.yaml", map[string]any{"listeners": listeners, "app": portOf(t, app.Addr()), "judge": socket}, addresses...)
	return g, app
}

// TestForeignEnvoyBodies: a body that such an Envoy sends as a whole is judged; one that it
// sends in part, as a text that could be another, or not at all is a 503, and none passes
// unseen. What the Envoy itself finds too long is a 413, or a 503 where it cuts it.
func TestForeignEnvoyBodies(t *testing.T) {
	t.Parallel()
	g, app := startAttachedBodies(t)
	good, bad := `{"sku": "a"}`, `{"sku": "SECRET"}`
	long := `{"sku": "a", "note": "` + strings.Repeat("x", 100) + `"}`
	longBad := `{"note": "` + strings.Repeat("x", 100) + `", "admin": true}`
	badBytes := "{\"note\": \"a\xff\"}"
	exclaimed := `{"note": "a!"}`
	for name, want := range map[string]map[string]int{
		"whole":   {good: 200, bad: 400, long: 200, longBad: 400, badBytes: 400, exclaimed: 200, "{": 400},
		"text":    {good: 200, bad: 400, long: 200, longBad: 400, badBytes: 503, exclaimed: 503, "{": 400},
		"small":   {good: 200, bad: 400, long: 413, longBad: 413, badBytes: 400, exclaimed: 200, "{": 400},
		"partial": {good: 200, bad: 400, long: 503, longBad: 503, badBytes: 400, exclaimed: 200, "{": 400},
		"none":    {good: 503, bad: 503, long: 503, longBad: 503, badBytes: 503, exclaimed: 503, "{": 503},
	} {
		for _, listener := range []string{name + "-raw", name + "-joined"} {
			for protocol, client := range bothClients(t) {
				passed := app.Requests()
				for body, status := range want {
					for _, method := range []string{"POST", "GET"} {
						for _, said := range []bool{true, false} {
							r := sendJSON(t, client, method, g.url(listener, "/orders"), body, said)
							// What is too long this Envoy cuts where it comes at once.
							if r.Status != status && (status != 413 || r.Status != 503) {
								t.Errorf("%s by %s, %s of %.40q, its length said: %t: %d %s, want %d", listener, protocol, method, body, said, r.Status, r.Body, status)
							}
							if status == 200 {
								passed++
							}
							if strings.Contains(r.Body, "SECRET") && status != 200 {
								t.Errorf("%s: the answer has the body: %s", listener, r.Body)
							}
						}
					}
				}
				// Where the document has no body, clients say nothing of one.
				if r := sendJSON(t, client, "DELETE", g.url(listener, "/orders"), "", true); r.Status != 200 {
					t.Errorf("%s by %s, DELETE without a body: %d %s", listener, protocol, r.Status, r.Body)
				}
				// And other routes have no document.
				if r := sendJSON(t, client, "POST", g.url(listener, "/other"), bad[:10], false); r.Status != 200 {
					t.Errorf("%s by %s, another route: %d %s", listener, protocol, r.Status, r.Body)
				}
				if got := app.Requests(); got != passed+2 {
					t.Errorf("%s by %s: %d requests have reached the backend, want %d", listener, protocol, got, passed+2)
				}
			}
		}
	}
}

const boundedBodies = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
openapi:
  orders: {document: orders.yaml}
routes:
  - {name: orders, match: {path: /orders}, auth: public, to: [{backend: app}], openapi: {document: orders, validate: request, maxBody: 64}}
  - {name: tried, match: {path: /orders, hosts: [shadow.example.com]}, auth: public, to: [{backend: app}], openapi: {document: orders, validate: request, maxBody: 64, mode: shadow}}
`

// TestTooLongBodiesAreNotCut: a body that begins as the document says, and is longer than
// what is judged, is refused however it comes: Envoy cuts one that comes at once, and the
// rest of it would reach the backend unseen.
func TestTooLongBodiesAreNotCut(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := prepared(t, setup{config: boundedBodies, values: map[string]string{"app": app.Addr()}})
	g.writeFile("orders.yaml", []byte(attachedDocument))
	g.launch("run")
	g.waitReady()
	t.Cleanup(g.stop)
	begin := `{"sku": "a"}`
	fits := begin + strings.Repeat(" ", 64-len(begin))
	for _, host := range []string{"a", "shadow.example.com"} {
		for rest, want := range map[string]int{"": 200, "x": 413, `{"admin": true}`: 413, strings.Repeat(" ", 5000): 413} {
			before := app.Requests()
			for protocol, client := range bothClients(t) {
				for _, said := range []bool{true, false} {
					if r := sendJSON(t, client, "POST", g.url("public", "/orders"), fits+rest, said, host); r.Status != want || want == 413 && !strings.Contains(r.Body, `"body-too-large"`) {
						t.Errorf("%s by %s, %d bytes more, their number said: %t: %d %s, want %d", host, protocol, len(rest), said, r.Status, r.Body, want)
					}
				}
			}
			// All in one frame, which ends the request, and no word of its length.
			f := g.frames("public")
			if err := errors.Join(f.Ask(1, "POST", "/orders", false, field{"content-type", "application/json"}), f.WriteData(1, true, []byte(fits+rest))); err != nil {
				t.Fatal(err)
			}
			if got := f.status(t, 1); got != fmt.Sprint(want) {
				t.Errorf("%d bytes more in one frame: %s, want %d", len(rest), got, want)
			}
			if got := app.Requests() - before; want == 413 && got != 0 {
				t.Errorf("%d requests with %d bytes too many have reached the backend", got, len(rest))
			}
		}
	}
}

// sendJSON sends a body of JSON, to a host that is not the URL's where there is one; said
// tells whether a header has its length. Empty is none.
func sendJSON(t *testing.T, c *http.Client, method, url, body string, said bool, host ...string) reply {
	t.Helper()
	var from io.Reader
	if body != "" {
		from = bytes.NewReader([]byte(body))
	}
	if !said {
		from = unsized{from}
	}
	req, err := http.NewRequest(method, url, from)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Host = strings.Join(host, "")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: string(text)}
}
