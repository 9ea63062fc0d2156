package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const keySecret = "canary-of-the-secret-that-keys-are-hashed-with"

// onPostgres starts a gateway whose keys are in a PostgreSQL of the test's own.
func onPostgres(t *testing.T, server *testenv.Postgres, url string) *gateway {
	t.Helper()
	return start(t, setup{
		config: partners, values: map[string]string{"app": backend(t, "app").Addr()},
		env: []string{"GATEWRIGHT_DATABASE_URL=" + url, "GATEWRIGHT_KEY_SECRET=" + keySecret, "GATEWRIGHT_KEYS_STALE_FOR=1h"},
	})
}

// eventuallyAnswers waits until a request with the key is answered by that status.
func (g *gateway) eventuallyAnswers(what string, status int, path string, h header) {
	g.t.Helper()
	eventually(g.t, what, func() error {
		if r := get(g.t, g.url("public", path), h); r.Status != status {
			return errStatus(r)
		}
		return nil
	})
}

// TestKeysInPostgres: a key's whole life, made, rotated, used, revoked and told
// of by commands while two gateways run.
func TestKeysInPostgres(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	url := server.NewDatabase(t)
	one, two := onPostgres(t, server, url), onPostgres(t, server, url)
	both := func(what string, status int, h header) {
		t.Helper()
		for _, g := range []*gateway{one, two} {
			g.eventuallyAnswers(what, status, "/data/1", h)
		}
	}
	key := one.createKey("--tenant", "acme", "--permission", "data:read", "--label", "team=billing")
	both("a new key is taken", http.StatusOK, key.header())

	var rotated apiKey
	if err := json.Unmarshal(one.run("keys", "rotate", key.ID, "--overlap", "1h", "-o", "json"), &rotated); err != nil || rotated.ID != key.ID {
		t.Fatalf("rotated %s, %v; want %s", rotated.ID, err, key.ID)
	}
	both("the new secret is taken", http.StatusOK, rotated.header())
	both("the old one goes on", http.StatusOK, key.header())
	one.run("keys", "rotate", key.ID, "--overlap", "0")
	both("the secret before the last is over", http.StatusUnauthorized, key.header())
	both("and so is the one before", http.StatusUnauthorized, rotated.header())
	get(t, one.url("public", "/data/1"), rotated.header()).denied(t, 401, "api-key-expired")

	other := one.createKey("--permission", "data:read")
	both("another is taken", http.StatusOK, other.header())
	two.run("keys", "revoke", other.ID)
	both("a revoked one is not", http.StatusUnauthorized, other.header())

	if out := string(one.run("keys", "list", "--label", "team=billing", "--active")); !strings.Contains(out, key.ID) || strings.Contains(out, other.ID) {
		t.Errorf("keys list --label printed %s", out)
	}
	audited := string(two.run("keys", "audit"))
	for _, action := range []string{"create", "rotate", "revoke"} {
		if !strings.Contains(audited, action) {
			t.Errorf("keys audit does not tell of %s:\n%s", action, audited)
		}
	}
	for _, pid := range testenv.Children(one.cmd.Process.Pid) {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || strings.Contains(string(environ), keySecret) || strings.Contains(string(environ), testenv.PostgresPassword) {
			t.Errorf("the environment of Envoy has a secret, or cannot be read: %v", err)
		}
	}
	for _, secret := range []string{testenv.PostgresPassword, keySecret, key.Key, rotated.Key} {
		for _, g := range []*gateway{one, two} {
			if all := g.stdout.String() + g.stderr.String() + g.metrics() + audited; strings.Contains(all, secret) {
				t.Errorf("%.12s… is in what the gateway prints", secret)
			}
		}
	}
}

// TestPostgresGoesAndComesBack: while it is stopped, and while it is dead, keys
// that were used go on and others get 503; then all is as before.
func TestPostgresGoesAndComesBack(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	g := onPostgres(t, server, server.NewDatabase(t))
	known, unread := g.createKey("--permission", "data:read"), g.createKey("--permission", "data:read")
	g.eventuallyAnswers("a new key is taken", http.StatusOK, "/data/1", known.header())
	for name, fault := range map[string]struct{ down, up func() error }{
		"stopped": {
			func() error { server.Signal(syscall.SIGSTOP); return nil },
			func() error { server.Signal(syscall.SIGCONT); return nil },
		},
		"killed": {
			func() error { server.Kill(); return nil },
			server.Start,
		},
	} {
		if err := fault.down(); err != nil {
			t.Fatal(err)
		}
		g.eventuallyAnswers(name+": an unknown key is not judged", http.StatusServiceUnavailable, "/data/1", unread.header())
		get(t, g.url("public", "/data/1"), known.header()).ok(t)
		if err := fault.up(); err != nil {
			t.Fatal(err)
		}
		fresh := g.createAgain("--permission", "data:read")
		g.eventuallyAnswers(name+" and back: a new key is taken", http.StatusOK, "/data/1", fresh.header())
	}
	g.eventuallyAnswers("what could not be judged is taken", http.StatusOK, "/data/1", unread.header())
}

// createAgain makes a key once the database takes it.
func (g *gateway) createAgain(args ...string) (k apiKey) {
	g.t.Helper()
	eventually(g.t, "a key is made", func() error {
		out, err := g.command(append([]string{"keys", "create", "--name", "test", "-o", "json"}, args...)...).Output()
		if err != nil {
			return err
		}
		return json.Unmarshal(out, &k)
	})
	return k
}

// TestPostgresIsDownAtStart: the gateway starts, answers 503 where it would have
// to know a key, and takes keys once the database is there.
func TestPostgresIsDownAtStart(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	url := server.NewDatabase(t)
	server.Kill()
	g := onPostgres(t, server, url)
	get(t, g.url("public", "/data/1"), header{"X-API-Key", "0123456789abcdef0123456789"}).denied(t, 503, "key-store-unavailable")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	key := g.createAgain("--permission", "data:read")
	g.eventuallyAnswers("a new key is taken", http.StatusOK, "/data/1", key.header())
}

// TestImportedKeys: callers of another gateway go on with the keys they have,
// and a file with a fault imports none.
func TestImportedKeys(t *testing.T) {
	t.Parallel()
	g := startPartners(t)
	theirs := header{"X-API-Key", "sk_live_of-another-gateway"}
	get(t, g.url("public", "/data/1"), theirs).denied(t, 401, "api-key-invalid")
	file := filepath.Join(g.dir, "theirs.csv")
	const good = "name,key,tenant,permissions\nPartner,sk_live_of-another-gateway,acme,data:read\n"
	if err := os.WriteFile(file, []byte(good+"Other,short,,\n,sk_live_of-somebody-else,,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := g.command("keys", "import", file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "line 3: key: 5 bytes") || strings.Contains(string(out), "sk_live") {
		t.Fatalf("keys import of a file with faults: %v, %s", err, out)
	}
	get(t, g.url("public", "/data/1"), theirs).denied(t, 401, "api-key-invalid")
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run("keys", "import", file)
	g.eventuallyAnswers("an imported key is taken", http.StatusOK, "/data/1", theirs)
	got := get(t, g.url("public", "/data/1"), theirs).ok(t).echo(t)
	if got.header("X-Tenant-ID") != "acme" || got.header("X-API-Key") != "" {
		t.Errorf("the backend sees tenant %q, key %q", got.header("X-Tenant-ID"), got.header("X-API-Key"))
	}
	g.seesNoSecret("sk_live_of-another-gateway")
}
