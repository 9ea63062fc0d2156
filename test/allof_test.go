package test

import (
	"testing"
)

const together = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
` + jwtMain + `      forward: {sub: X-User-ID, tenant: X-Tenant-ID}
  apiKey:
    partners: {forward: {tenant: X-Tenant-ID, id: X-Key-ID, owner: X-User-ID}}
routes:
  - name: both
    match: {path: /both/**}
    auth: {allOf: [{jwt: main, scopes: [data:read]}, {apiKey: partners, permissions: [data:read]}]}
    to: [{backend: app}]
  - name: beside
    match: {path: /beside/**}
    auth: {anyOf: [{jwt: main, scopes: [a]}, {jwt: main, scopes: [b]}], allOf: [{apiKey: partners}]}
    to: [{backend: app}]
`

// TestTokenAndKeyTogether: a route that asks for both takes neither alone, nor
// those of two callers; the backend sees who calls, and no credential.
func TestTokenAndKeyTogether(t *testing.T) {
	t.Parallel()
	p, app := idp(t), backend(t, "app")
	g := start(t, setup{config: together, values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()}})
	url := g.url("public", "/both/1")
	key := g.createKey("--owner", "alice", "--tenant", "acme", "--permission", "data:read")
	weak := g.createKey("--owner", "alice", "--tenant", "acme")
	ofNobody := g.createKey("--permission", "data:read")
	alice := bearer(token(t, p, "sub=alice", "scope=data:read b"))

	got := get(t, url, alice, key.header(), header{"X-Tenant-ID", "forged"}).ok(t).echo(t)
	for name, want := range map[string]string{
		"X-User-ID": "alice", "X-Tenant-ID": "acme", "X-Key-ID": key.ID, "Authorization": "", "X-API-Key": "",
	} {
		if got.header(name) != want {
			t.Errorf("the backend sees %s %q, want %q", name, got.header(name), want)
		}
	}
	if line := g.logged("/both/1"); line["user"] != "alice" || line["key_id"] != nil && line["key_id"] != "" {
		t.Errorf("the caller is the one of the token; access log: %v", line)
	}
	get(t, url, alice, ofNobody.header()).ok(t)
	get(t, url, alice).denied(t, 401, "credential-missing")
	get(t, url, key.header()).denied(t, 401, "credential-missing")
	get(t, url, alice, weak.header()).denied(t, 403, "permission-missing")
	get(t, url, bearer(token(t, p, "sub=alice")), key.header()).denied(t, 403, "scope-missing")
	get(t, url, bearer(token(t, p, "sub=bob", "scope=data:read")), key.header()).denied(t, 403, "identity-mismatch")
	get(t, url, bearer(token(t, p, "sub=alice", "tenant=globex", "scope=data:read")), key.header()).denied(t, 403, "identity-mismatch")
	get(t, url, bearer("x.y.z"), key.header()).denied(t, 401, "token-malformed")

	url = g.url("public", "/beside/1")
	get(t, url, alice, key.header()).ok(t)
	get(t, url, alice).denied(t, 401, "credential-missing")
	get(t, url, bearer(token(t, p, "sub=alice", "scope=c")), key.header()).denied(t, 403, "scope-missing")
	get(t, url, bearer(token(t, p, "sub=bob", "scope=a")), key.header()).denied(t, 403, "identity-mismatch")
}
