package test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const ownErrors = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  gone: {endpoints: ["{{.gone}}"]}
auth:
  apiKey: {keys: {}}
limits:
  one: {key: [clientIP], tokenBucket: {capacity: 1, refill: 1/h}}
errors:
  - {status: [401, 404], accept: text/html, contentType: text/html; charset=utf-8, body: "<h1>${status} ${title}</h1><p>${detail} 100%</p><i>${reason} ${request_id}</i>"}
  - {status: [5xx], accept: text/html, contentType: text/html, body: "<p>${reason}: ${detail}</p>"}
  - {status: [401, 429, 5xx], contentType: application/json, body: '{"error": {"code": ${status}, "reason": "${reason}", "text": "${title}: ${detail}", "id": "${request_id}"}}'}
  - {status: [404], accept: text/plain, contentType: text/plain, body: "nothing here: $${reason} ${reason}\n"}
routes:
  - {name: closed, match: {path: /closed}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
  - {name: scoped, match: {path: /scoped}, auth: {anyOf: [{apiKey: keys, permissions: ["<b>&"]}]}, to: [{backend: app}]}
  - {name: counted, match: {path: /counted}, auth: public, limits: [one], to: [{backend: app}]}
  - {name: gone, match: {path: /gone}, auth: public, to: [{backend: gone}]}
  - {name: said, match: {path: /said}, auth: public, respond: {status: 503, body: "as it is"}}
  - {name: bounded, match: {path: /bounded}, auth: public, to: [{backend: app}], maxBodyBytes: 10}
`

// TestErrorsInOwnWords: what the gateway answers by itself, whoever of us does, has
// the body that the config has for it.
func TestErrorsInOwnWords(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: ownErrors, values: map[string]string{"app": backend(t, "app").Addr(), "gone": testenv.Addr(t)}})
	page := header{"Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
	type answer struct {
		path, accept, contentType string
		status                    int
		has                       []string
	}
	get(t, g.url("public", "/counted")).ok(t)
	for _, a := range []answer{
		{"/closed", page.value, "text/html; charset=utf-8", 401, []string{"<h1>401 Unauthorized</h1>", "needs a credential. 100%</p>", "<i>credential-missing "}},
		{"/nowhere", page.value, "text/html; charset=utf-8", 404, []string{"<h1>404 Not Found</h1><p>no route matches this request 100%</p><i>route-not-found "}},
		{"/nowhere", "text/plain", "text/plain", 404, []string{"nothing here: ${reason} route-not-found\n"}},
		{"/nowhere", "text/html;q=0, text/plain", "text/plain", 404, []string{"nothing here"}},
		{"/gone", page.value, "text/html", 503, []string{"<p>backend-failed: the connection to the backend failed</p>"}},
	} {
		r := get(t, g.url("public", a.path), header{"Accept", a.accept})
		if r.Status != a.status || r.Header.Get("Content-Type") != a.contentType {
			t.Errorf("%s for %s: %d %s", a.path, a.accept, r.Status, r.Header.Get("Content-Type"))
		}
		for _, part := range a.has {
			if !strings.Contains(r.Body, part) {
				t.Errorf("%s for %s lacks %q: %s", a.path, a.accept, part, r.Body)
			}
		}
	}
	for path, want := range map[string]string{"/closed": "401 credential-missing", "/counted": "429 rate-limited", "/gone": "503 backend-failed"} {
		r := get(t, g.url("public", path), header{"Accept", "application/json"})
		var body struct {
			Error struct {
				Code             json.Number
				Reason, Text, ID string
			}
		}
		if err := json.Unmarshal([]byte(r.Body), &body); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%s: %v in %s %s", path, err, r.Header.Get("Content-Type"), r.Body)
		}
		if got := body.Error.Code.String() + " " + body.Error.Reason; got != want || len(body.Error.ID) != 36 || !strings.Contains(body.Error.Text, ": ") {
			t.Errorf("%s: %s, want %s", path, r.Body, want)
		}
		if want[:3] == "429" && r.Header.Get("Retry-After") == "" {
			t.Error("a 429 in other words has lost its Retry-After")
		}
	}
	if line := g.logged("/closed"); line["reason"] != "credential-missing" {
		t.Errorf("access log: %v", line)
	}
}

// TestErrorsKeepTheirForm: where the config has no body for an answer, and for
// answers that are none of these.
func TestErrorsKeepTheirForm(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: ownErrors, values: map[string]string{"app": backend(t, "app").Addr(), "gone": testenv.Addr(t)}})
	get(t, g.url("public", "/nowhere"), header{"Accept", "application/json"}).denied(t, 404, "route-not-found")
	get(t, g.url("public", "/nowhere")).denied(t, 404, "route-not-found")
	sendBody(t, client, g.url("public", "/bounded"), []byte("more than ten bytes"), true, header{"Accept", "text/html"}).denied(t, 413, "body-too-large")
	if r := get(t, g.url("public", "/said"), header{"Accept", "text/html"}); r.Status != 503 || r.Body != "as it is" {
		t.Errorf("a route's own answer: %d %s", r.Status, r.Body)
	}
	// What the config itself says is encoded: the detail names the permission.
	r := get(t, g.url("public", "/closed"), g.createKey().header(), header{"Accept", "text/html"})
	r.ok(t)
	r = get(t, g.url("public", "/scoped"), g.createKey().header(), header{"Accept", "text/html"})
	r.denied(t, http.StatusForbidden, "permission-missing")
	// A call of gRPC gets its status, whatever it accepts.
	r = do(t, http.MethodPost, g.url("public", "/gone"), header{"Content-Type", "application/grpc"}, header{"Accept", "text/html"}, header{"Te", "trailers"})
	if r.Status != http.StatusOK || r.Header.Get("Grpc-Status") != "14" || strings.Contains(r.Header.Get("Grpc-Message"), "<p>") {
		t.Errorf("a call: %d, grpc-status %q, %q", r.Status, r.Header.Get("Grpc-Status"), r.Header.Get("Grpc-Message"))
	}
}
