package test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestRevocationsAreRequired: where nobody knows what has been revoked, tokens
// pass or get a 503, as the setting says; routes without tokens go on, and a
// copy of the last run is as good as the database.
func TestRevocationsAreRequired(t *testing.T) {
	t.Parallel()
	p, users := idp(t), backend(t, "users")
	away := "GATEWRIGHT_DATABASE_URL=postgres://nobody@" + testenv.Addr(t) + "/keys?sslmode=disable"
	env := []string{away, "GATEWRIGHT_KEY_SECRET=0123456789abcdef0123456789abcdef"}
	signed := bearer(token(t, p, "sub=alice", "scope=users:read"))
	open := "  - {name: open, match: {path: /open}, auth: public, to: [{backend: users}]}\n"
	startWith := func(env []string) *gateway {
		return start(t, setup{config: tokens + open, values: map[string]string{"issuer": p.Issuer(), "users": users.Addr()}, env: env})
	}
	relaxed := startWith(env)
	get(t, relaxed.url("public", "/users/1"), signed).ok(t)

	strict := startWith(append(env, "GATEWRIGHT_REVOCATIONS_REQUIRED=true"))
	get(t, strict.url("public", "/users/1"), signed).denied(t, 503, "revocations-unavailable")
	get(t, strict.url("public", "/users/1")).denied(t, 401, "credential-missing")
	get(t, strict.url("public", "/users/1"), bearer("x.y.z")).denied(t, 401, "token-malformed")
	get(t, strict.url("public", "/open")).ok(t)

	strict.stop()
	if err := os.WriteFile(filepath.Join(strict.dir, "state", "revocations.json"), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	strict.launch("run")
	strict.waitReady()
	get(t, strict.url("public", "/users/1"), signed).ok(t)
}
