package explain

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

const edge = `
listeners: [{name: public, address: "127.0.0.1:8080"}]
limits: {few: {key: [clientIP, route], tokenBucket: {capacity: 3, refill: 1/s}}}
strangers: {limits: [few]}
routes: [{name: open, match: {path: /open}, auth: public, respond: {status: 204}}]
`

// What the edge does to a request before a route, and where none takes it.
func TestEdge(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("gateway.yaml", []byte(edge))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Config: c, ClientIPKey: func(a string, _ int) string { return a }}
	ask := func(host, path string, headers ...[2]string) Report {
		return Explain(t.Context(), o, Asked{Method: "GET", Scheme: "http", Host: host, Path: path, ClientIP: "192.0.2.7", Headers: headers})
	}
	for host, path := range map[string]string{"a": "/nowhere", "a,b": "/open", "": "/open", "user@a": "/open", "b": "/x/%2e%2e;/open"} {
		r := ask(host, path)
		reason, route := "route-not-found", "gatewright.not-found"
		if path != "/nowhere" {
			reason, route = "host-refused", "gatewright.refused"
		}
		if strings.Contains(path, ";") {
			reason = "path-refused"
		}
		if r.Refused == nil || r.Refused.Reason != reason || r.Chosen != nil {
			t.Errorf("%q: %v, want %s", host, r.Refused, reason)
		}
		if len(r.Limits) != 1 || r.Limits[0].Key[0].Value != "192.0.2.7" || r.Limits[0].Key[1].Value != route {
			t.Errorf("%q: limits %+v", host, r.Limits)
		}
	}
	r := ask("a", "/open", [2]string{"X-Forwarded-Host", "b"}, [2]string{"X-Envoy-Internal", "true"})
	if r.Chosen == nil || len(r.Limits) != 0 || len(r.Notes) != 2 || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "trustedHops") }) {
		t.Errorf("%+v", r)
	}
	c.TrustedHops = 1
	if r := ask("a", "/open", [2]string{"X-Forwarded-Host", "b"}); len(r.Notes) != 0 {
		t.Errorf("behind a proxy: %q", r.Notes)
	}
}

// TestRedirectingListener: by http it is told which listener serves nothing of what
// follows.
func TestRedirectingListener(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("gateway.yaml", []byte(strings.Replace(edge, "listeners: [", `listeners: [{name: web, address: "127.0.0.1:80", redirectToHTTPS: true}, `, 1)))
	if err != nil {
		t.Fatal(err)
	}
	for scheme, told := range map[string]bool{"http": true, "https": false} {
		r := Explain(t.Context(), Options{Config: c}, Asked{Method: "GET", Scheme: scheme, Host: "a", Path: "/open"})
		if got := slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "web redirects each request") }); got != told {
			t.Errorf("%s: it notes %q", scheme, r.Notes)
		}
	}
}

// TestTemplatesAreTold: which bodies are made anew.
func TestTemplatesAreTold(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("gateway.yaml", []byte(strings.Replace(edge, "routes: [", `backends: {app: {endpoints: ["10.0.0.1:80"]}}
routes: [{name: made, match: {path: /made}, auth: public, to: [{backend: app}], body: {request: {template: "${body}"}, response: {template: "${body}", status: [200, 4xx], maxBytes: 10}}, errors: [{status: [404, 5xx], from: any, contentType: text/plain, body: "x"}]}, `, 1)))
	if err != nil {
		t.Fatal(err)
	}
	r := Explain(t.Context(), Options{Config: c}, Asked{Method: "GET", Scheme: "http", Host: "a", Path: "/made"})
	if got := strings.Join(r.Then.Bodies, "; "); got != "a request's of at most 65536 bytes of JSON is made anew by a template; an answer's (200, 4xx) of at most 10 bytes of JSON is made anew by a template; an error's is in the route's own words (404, 5xx of any)" {
		t.Errorf("bodies: %s", got)
	}
}
