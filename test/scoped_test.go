package test

import (
	"fmt"
	"net/http"
	"testing"
)

// TestTheSecondLookFindsAllOfTheRoute: in a large config, a host in capitals, one
// of a suffix and one that nobody named find their table when Envoy has begun
// with the request. What the route says holds for them as for everybody else.
func TestTheSecondLookFindsAllOfTheRoute(t *testing.T) {
	t.Parallel()
	const text = `
listeners: [{name: public, address: "{{listen "public"}}"}]
backends:
  app: {endpoints: ["{{.app}}"]}
auth: {apiKey: {keys: {}}}
limits:
  two: {key: [clientIP, route], tokenBucket: {capacity: 2, refill: 1/h}}
routes:
`
	routes := ""
	for name, host := range map[string]string{"exact": "hosts: [api.example.com], ", "suffix": "hosts: ['*.wild.example'], ", "any": ""} {
		routes += fmt.Sprintf(`
  - {name: %[1]s-idle, match: {%[2]spath: /%[1]s/idle}, auth: public, to: [{backend: app}], timeout: 10s, idleTimeout: 200ms}
  - {name: %[1]s-slow, match: {%[2]spath: /%[1]s/slow}, auth: public, to: [{backend: app}], timeout: 200ms}
  - {name: %[1]s-closed, match: {%[2]spath: /%[1]s/closed}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
  - {name: %[1]s-few, match: {%[2]spath: /%[1]s/few}, auth: public, limits: [two], to: [{backend: app}]}
  - {name: %[1]s-moved, match: {%[2]spath: /%[1]s/moved/**}, auth: public, to: [{backend: app}], rewrite: {path: /there/**}, request: {set: {X-Side: a}}}
  - {name: %[1]s-made, match: {%[2]spath: "/%[1]s/made/{id}"}, auth: public, to: [{backend: app}], maxBodyBytes: 10, request: {set: {X-Id: "${path.id}"}}}`, name, host)
	}
	g := start(t, setup{config: text + routes + "\n" + manyRoutes(100, 10), values: map[string]string{"app": backend(t, "app").Addr()}})
	for name, hosts := range map[string][]string{
		"exact":  {"api.example.com", "API.Example.com"},
		"suffix": {"a.wild.example", "A.b.WILD.example"},
		"any":    {"nobody.example", "H0.fill.ORG", "127.0.0.1:80"},
	} {
		for i, host := range hosts {
			ask := func(path string) reply {
				return get(t, g.url("public", "/"+name+path), header{"Host", host})
			}
			for _, path := range []string{"/idle?delay=5s", "/slow?delay=5s"} {
				if r := ask(path); r.Status != http.StatusGatewayTimeout {
					t.Errorf("%s%s: status %d, want 504", host, path, r.Status)
				}
			}
			ask("/closed").denied(t, 401, "credential-missing")
			hops := g.hops()
			if e := ask("/moved/x").ok(t).echo(t); e.Path != "/there/x" || e.header("X-Side") != "a" || e.header("X-Trace-ID") == "" {
				t.Errorf("%s: the backend got %+v", host, e)
			}
			if more := g.hops() - hops; more != 0 {
				t.Errorf("%s: Gatewright was asked about a public route", host)
			}
			if e := ask("/made/7").ok(t).echo(t); e.header("X-Id") != "7" {
				t.Errorf("%s: the backend got %+v", host, e)
			}
			for _, said := range []bool{true, false} {
				sendBody(t, client, g.url("public", "/"+name+"/made/7"), []byte("eleven byte"), said, header{"Host", host}).denied(t, 413, "body-too-large")
			}
			if i == 0 {
				ask("/few").ok(t)
				ask("/few").ok(t)
			}
			ask("/few").denied(t, 429, "rate-limited")
		}
	}
}
