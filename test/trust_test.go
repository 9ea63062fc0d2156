package test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// trust is a gateway that finds an issuer's keys by discovery, and asks another
// one about opaque tokens.
const trust = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  users: {endpoints: ["{{.users}}"]}
auth:
  jwt:
    main: {issuer: "{{.issuer}}", audiences: [api], jwks: {discover: true}, forward: {sub: X-User-ID}}
  introspection:
    legacy: {url: "{{.opaque}}", clientID: gateway, clientSecretEnv: INTROSPECT_SECRET, forward: {sub: X-User-ID}}
routes:
  - name: users
    match: {path: /users/**}
    auth: {anyOf: [{jwt: main, scopes: [users:read]}]}
    to: [{backend: users}]
  - name: old
    match: {path: /old/**}
    auth: {anyOf: [{introspection: legacy, scopes: [users:read]}]}
    to: [{backend: users}]
`

// TestTrustOutlivesItsIssuers: keys are discovered, opaque tokens introspected;
// with the issuers down a restart goes on by the kept keys, who is known goes
// on, and who is not gets a 503.
func TestTrustOutlivesItsIssuers(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	opaque := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		token := r.PostFormValue("token")
		if down.Load() || id != "gateway" || secret != "open+sesame" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		switch token {
		case "opaque-alice":
			_, _ = w.Write([]byte(`{"active":true,"sub":"alice","scope":"users:read"}`))
		case "opaque-bob":
			_, _ = w.Write([]byte(`{"active":true,"sub":"bob"}`))
		default:
			_, _ = w.Write([]byte(`{"active":false}`))
		}
	}))
	defer opaque.Close()
	p, users := idp(t), backend(t, "users")
	g := start(t, setup{
		config: trust,
		values: map[string]string{"issuer": p.Issuer(), "opaque": opaque.URL, "users": users.Addr()},
		env:    []string{"INTROSPECT_SECRET=open sesame"},
	})
	signed := token(t, p, "sub=carol", "scope=users:read")
	if got := get(t, g.url("public", "/users/1"), bearer(signed)).ok(t).echo(t); got.header("X-User-ID") != "carol" {
		t.Errorf("the backend sees %q", got.header("X-User-ID"))
	}
	got := get(t, g.url("public", "/old/1"), bearer("opaque-alice")).ok(t).echo(t)
	if got.header("X-User-ID") != "alice" || got.header("Authorization") != "" {
		t.Errorf("the backend sees %q, and the credential %q", got.header("X-User-ID"), got.header("Authorization"))
	}
	get(t, g.url("public", "/old/1"), bearer("opaque-bob")).denied(t, 403, "scope-missing")
	get(t, g.url("public", "/old/1"), bearer("opaque-eve")).denied(t, 401, "token-inactive")
	get(t, g.url("public", "/old/1")).denied(t, 401, "credential-missing")
	get(t, g.url("public", "/users/1"), bearer("opaque-alice")).denied(t, 401, "token-malformed")

	down.Store(true)
	p.SetDown(true)
	get(t, g.url("public", "/old/1"), bearer("opaque-zoe")).denied(t, 503, "introspection-unavailable")
	g.stop()
	g.launch("run")
	g.waitReady()
	get(t, g.url("public", "/users/1"), bearer(signed)).ok(t)
	get(t, g.url("public", "/old/1"), bearer("opaque-alice")).denied(t, 503, "introspection-unavailable")
}
