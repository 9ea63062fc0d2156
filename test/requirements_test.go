package test

import (
	"net/http"
	"testing"
)

const requirements = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  users: {endpoints: ["{{.users}}"]}
auth:
` + jwtMain + `      rolesClaim: role
      forward: {sub: X-User-ID}
routes:
  - name: gold
    match: {path: /gold/**}
    auth: {anyOf: [{jwt: main, rule: 'claims.tier == "gold" && request.method != "DELETE" && request.path.startsWith("/gold/")'}]}
    to: [{backend: users}]
  - name: staff
    match: {path: /staff/**}
    auth: {anyOf: [{jwt: main, roles: [admin, owner], anyScope: [users:read, users:all], requiredClaims: [jti]}]}
    to: [{backend: users}]
  - name: shop
    match: {path: /shop/**}
    auth: {anyOf: [{jwt: main}], allowAnonymous: true}
    to: [{backend: users}]
  - name: typed
    match: {path: /typed/**}
    auth: {anyOf: [{jwt: main, rule: 'claims.level >= 3'}]}
    to: [{backend: users}]
`

// TestRequirementsOfARoute: rules, roles, scopes and claims are judged at the
// edge, and a route may let nobody pass, but no bad credential.
func TestRequirementsOfARoute(t *testing.T) {
	t.Parallel()
	p, users := idp(t), backend(t, "users")
	g := start(t, setup{config: requirements, values: map[string]string{"issuer": p.Issuer(), "users": users.Addr()}})
	gold := bearer(token(t, p, "sub=alice", "tier=gold"))
	get(t, g.url("public", "/gold/1"), gold).ok(t)
	for _, c := range []struct {
		method, path string
		token        []string
		status       int
		reason       string
	}{
		{http.MethodDelete, "/gold/1", []string{"sub=alice", "tier=gold"}, 403, "rule-denied"},
		{http.MethodGet, "/gold/1", []string{"sub=alice", "tier=tin"}, 403, "rule-denied"},
		{http.MethodGet, "/gold/1", []string{"sub=alice"}, 403, "rule-failed"},
		{http.MethodGet, "/typed/1", []string{"sub=alice", "level=high"}, 403, "rule-failed"},
		{http.MethodGet, "/staff/1", []string{"sub=alice", "role=buyer", "scope=users:read", "jti=1"}, 403, "role-missing"},
		{http.MethodGet, "/staff/1", []string{"sub=alice", "role=admin", "scope=users:write", "jti=1"}, 403, "scope-missing"},
	} {
		do(t, c.method, g.url("public", c.path), bearer(token(t, p, c.token...))).denied(t, c.status, c.reason)
	}
	if user := get(t, g.url("public", "/shop/1"), header{"X-User-ID", "admin"}).ok(t).echo(t).header("X-User-ID"); user != "" {
		t.Errorf("nobody is %q to the backend", user)
	}
	if user := get(t, g.url("public", "/shop/1"), gold).ok(t).echo(t).header("X-User-ID"); user != "alice" {
		t.Errorf("alice is %q to the backend", user)
	}
	get(t, g.url("public", "/shop/1"), bearer("x.y.z")).denied(t, 401, "token-malformed")
}
