package test

import (
	"net/http"
	"testing"
)

const routeKinds = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
backends:
  app: {endpoints: ["{{.app}}"]}
  canary: {endpoints: ["{{.canary}}"]}
auth:
` + jwtMain + `      forward: {sub: X-User-ID, role: X-User-Role}
  apiKey:
    keys: {forward: {tenant: X-Tenant-ID, id: X-Key-ID}}
limits:
  plenty: {key: [clientIP], tokenBucket: {capacity: 100000, refill: 1/s}}
routes:
  - {name: open, match: {path: /open/**}, auth: public, to: [{backend: app}]}
  - {name: limited, match: {path: /limited/**}, auth: public, limits: [plenty], to: [{backend: app}]}
  - {name: anonymous, match: {path: /anonymous/**}, auth: {anyOf: [{jwt: main}], allowAnonymous: true}, to: [{backend: app}]}
  - {name: shadow, match: {path: /shadow/**}, auth: {anyOf: [{jwt: main, mode: shadow}]}, to: [{backend: app}]}
  - {name: rewritten, match: {path: /rewritten/**}, auth: public, rewrite: {path: /other}, to: [{backend: app}]}
  - {name: split, match: {path: /split/**}, auth: public, to: [{backend: app, weight: 1}, {backend: canary, weight: 1}]}
  - {name: changed, match: {path: /changed/**}, auth: public, request: {set: {X-Set: "1"}}, to: [{backend: app}]}
  - {name: token, match: {path: /token/**}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
  - {name: token-split, match: {path: /token-split/**}, auth: {anyOf: [{jwt: main}]}, limits: [plenty], to: [{backend: app, weight: 1}, {backend: canary, weight: 1}]}
  - {name: either, match: {path: /either/**}, auth: {anyOf: [{apiKey: keys}, {jwt: main}]}, to: [{backend: app}]}
  - {name: both, match: {path: /both/**}, auth: {allOf: [{jwt: main}, {apiKey: keys}]}, to: [{backend: app}]}
`

// TestIdentityOnEveryKindOfRoute: the headers by which backends are told of the
// caller are ours on every kind of route, on both kinds of listeners, whatever a
// client sends under their names, and whatever is in a claim.
func TestIdentityOnEveryKindOfRoute(t *testing.T) {
	t.Parallel()
	p := idp(t)
	g := start(t, setup{config: routeKinds, values: map[string]string{"issuer": p.Issuer(), "app": backend(t, "app").Addr(), "canary": backend(t, "canary").Addr()}})
	key := g.createKey("--owner", "alice", "--tenant", "acme")
	alice := bearer(token(t, p, "sub=alice"))
	evil := bearer(p.Token(map[string]any{"sub": "mallory\r\nX-User-Role: root\x00\u2028"}))
	forged := []header{{"X-User-ID", "root"}, {"x-user-role", "root"}, {"X-TENANT-ID", "root"}, {"X-Key-ID", "root"}}
	for _, c := range []struct {
		path       string
		credential []header
		user, key  string
	}{
		{"/open/1", nil, "", ""},
		{"/open/1", []header{alice, key.header()}, "", ""},
		{"/limited/1", nil, "", ""},
		{"/anonymous/1", nil, "", ""},
		{"/anonymous/1", []header{alice}, "alice", ""},
		{"/shadow/1", nil, "", ""},
		{"/shadow/1", []header{alice}, "alice", ""},
		{"/rewritten/1", nil, "", ""},
		{"/split/1", nil, "", ""},
		{"/changed/1", nil, "", ""},
		{"/token/1", []header{alice}, "alice", ""},
		{"/token/1", []header{evil}, "mallory%0D%0AX-User-Role: root%00\u2028", ""},
		{"/token-split/1", []header{alice}, "alice", ""},
		{"/either/1", []header{alice}, "alice", ""},
		{"/either/1", []header{key.header()}, "", key.ID},
		{"/both/1", []header{alice, key.header()}, "alice", key.ID},
	} {
		for _, listener := range []string{"public", "filtered"} {
			for range 4 { // both sides of a split
				e := get(t, g.url(listener, c.path), append(c.credential, forged...)...).ok(t).echo(t)
				for name, want := range map[string]string{"X-User-ID": c.user, "X-User-Role": "", "X-Key-ID": c.key} {
					if got := e.Headers[http.CanonicalHeaderKey(name)]; len(got) > 1 || e.header(name) != want {
						t.Errorf("%s on %s: the backend sees %s %q, want %q", c.path, listener, name, got, want)
					}
				}
				wanted := ""
				if c.key != "" {
					wanted = "acme"
				}
				if got := e.header("X-Tenant-ID"); got != wanted {
					t.Errorf("%s on %s: the backend sees the tenant %q, want %q", c.path, listener, got, wanted)
				}
			}
		}
	}
}
