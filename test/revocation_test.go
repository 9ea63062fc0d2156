package test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// revocation is what `gatewright tokens revoke -o json` prints.
type revocation struct {
	ID      int64
	TokenID string
}

func (g *gateway) revoke(args ...string) revocation {
	g.t.Helper()
	var r revocation
	out := g.run(append([]string{"tokens", "revoke", "-o", "json"}, args...)...)
	if err := json.Unmarshal(out, &r); err != nil || r.ID == 0 {
		g.t.Fatalf("tokens revoke printed %s: %v", out, err)
	}
	return r
}

// TestRevokedTokens: by their id, their subject and the time of their issue; also
// those that have been seen before; and after a restart.
func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	insideEnvoy(t, testRevokedTokens)
}

func testRevokedTokens(t *testing.T, module bool) {
	g, p, _ := startTokensIn(t, module)
	asks := func(token string) func() reply {
		return func() reply { return get(t, g.url("public", "/users/1"), bearer(token)) }
	}
	refused := func(ask func() reply) {
		t.Helper()
		eventually(t, "the token is refused", func() error {
			if r := ask(); r.Status == http.StatusOK {
				return errStatus(r)
			}
			return nil
		})
		ask().denied(t, 401, "token-revoked")
	}
	one, other, bob := token(t, p, "sub=alice", "scope=users:read", "jti=one"), token(t, p, "sub=alice", "scope=users:read", "jti=other"), token(t, p, "sub=bob", "scope=users:read", "jti=three")
	for _, raw := range []string{one, other, bob} {
		asks(raw)().ok(t)
	}
	byID := g.revoke("--issuer", p.Issuer(), "--jti", "one", "--why", "lost")
	refused(asks(one))
	asks(other)().ok(t)
	if line := g.logged("/users/1"); line["route"] != "users" {
		t.Errorf("access log: %v", line)
	}

	g.run("tokens", "restore", jsonText(byID.ID))
	eventually(t, "the token is good again", func() error {
		if r := asks(one)(); r.Status != http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
	g.revoke("--issuer", p.Issuer(), "--subject", "alice")
	refused(asks(one))
	refused(asks(other))
	asks(bob)().ok(t)
	if list := string(g.run("tokens", "list")); !strings.Contains(list, "alice") || strings.Contains(list, "lost") {
		t.Errorf("tokens list prints\n%s", list)
	}

	// The token itself tells which it is.
	cmd := g.command("tokens", "revoke", "--token", "-o", "json")
	cmd.Stdin = strings.NewReader(bob + "\n")
	if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), `"three"`) {
		t.Fatalf("tokens revoke --token printed %s: %v", out, err)
	}
	refused(asks(bob))

	g.stop()
	g.launch("run")
	g.waitReady()
	asks(bob)().denied(t, 401, "token-revoked")
	asks(one)().denied(t, 401, "token-revoked")
	asks(token(t, p, "sub=carol", "scope=users:read"))().ok(t)
}

func jsonText(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// TestRestoringNoRevocation names what is not there.
func TestRestoringNoRevocation(t *testing.T) {
	t.Parallel()
	g := prepared(t, setup{config: "{}"})
	out, err := g.command("tokens", "restore", "17").CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), "there is no revocation 17") {
		t.Errorf("tokens restore 17: %v, %s", err, out)
	}
}

// TestTokensThatCannotBeRevoked say why.
func TestTokensThatCannotBeRevoked(t *testing.T) {
	t.Parallel()
	g, p, _ := startTokens(t)
	for _, c := range []struct {
		args  []string
		stdin string
		code  int
		want  string
	}{
		{[]string{"--jti", "1"}, "", 1, "issuer is missing"},
		{[]string{"--issuer", "a", "--jti", "1", "--subject", "b"}, "", 1, "exclude"},
		{[]string{"--issuer", "a", "--issued-before", "yesterday"}, "", 2, "--issued-before"},
		{[]string{"--token"}, "no token", 1, "token-malformed"},
		{[]string{"--token"}, token(t, p, "sub=alice"), 1, "no jti"},
		{[]string{"--token", "--issuer", "a"}, "", 2, "no other flag"},
	} {
		cmd := g.command(append([]string{"tokens", "revoke"}, c.args...)...)
		cmd.Stdin = strings.NewReader(c.stdin)
		out, err := cmd.CombinedOutput()
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, %s; want exit code %d and %q", c.args, err, out, c.code, c.want)
		}
	}
}
