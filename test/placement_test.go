package test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// hops is how many requests the gateway was asked about.
func (g *gateway) hops() int {
	g.t.Helper()
	m := regexp.MustCompile(`(?m)^gatewright_check_seconds_count (\d+)`).FindStringSubmatch(g.metrics())
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits
	return n
}

// askedAbout is a config whose public listener has Check asked about every request.
func askedAbout(config string) string {
	return strings.Replace(config, `"{{listen "public"}}"}`, `"{{listen "public"}}", placement: service}`, 1)
}

// moduleLine has Envoy remember verdicts, in a config that says nothing else of experiments.
func moduleLine(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("\nexperiments: {envoyModule: %q}\n", testenv.EnvoyModule(t))
}

// insideEnvoy tests both ways in which Envoy lets tokens pass by itself: by its own filters,
// and by what the dynamic module remembers.
func insideEnvoy(t *testing.T, test func(t *testing.T, module bool)) {
	t.Helper()
	for name, module := range map[string]bool{"filters": false, "module": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, module)
		})
	}
}

// letsPass waits until a request is let pass inside Envoy.
func (g *gateway) letsPass(ask func() reply) {
	g.t.Helper()
	eventually(g.t, "Envoy lets the request pass by itself", func() error {
		before := g.hops()
		if r := ask(); r.Status != http.StatusOK {
			return errStatus(r)
		}
		if g.hops() != before {
			return errors.New("the gateway was asked")
		}
		return nil
	})
}

// TestTokensAreJudgedInsideEnvoy: nobody is asked about a request that surely passes, and
// backend, log and metrics learn the same as from Check; about all others Check is asked.
func TestTokensAreJudgedInsideEnvoy(t *testing.T) {
	t.Parallel()
	insideEnvoy(t, testTokensAreJudgedInsideEnvoy)
}

func testTokensAreJudgedInsideEnvoy(t *testing.T, module bool) {
	g, p, _ := startTokensIn(t, module)
	alice := bearer(token(t, p, "sub=alice", "role=admin", "tenant=acme", "scope=users:read profile"))
	g.letsPass(func() reply { return get(t, g.url("public", "/users/0"), alice) })
	asked := g.hops()
	got := get(t, g.url("public", "/users/1"), alice, header{"X-User-ID", "mallory"}, header{"X-User-Role", "owner"}).ok(t).echo(t)
	for name, want := range map[string]string{"X-User-ID": "alice", "X-User-Role": "admin", "Authorization": "", "X-Gatewright-Path": ""} {
		if v := got.header(name); v != want {
			t.Errorf("the backend sees %s %q, want %q", name, v, want)
		}
	}
	admin := func() reply { return get(t, g.url("public", "/admin/1"), alice) }
	admin().ok(t) // by filters nobody is asked, and by the module once
	if module {
		asked++
		admin().ok(t)
	}
	if n := g.hops(); n != asked {
		t.Errorf("the gateway was asked about %d good requests", n-asked)
	}
	line := g.logged("/users/1")
	for name, want := range map[string]any{"status": 200.0, "route": "users", "backend": "users", "user": "alice", "tenant": "acme", "reason": "allowed"} {
		if line[name] != want {
			t.Errorf("the log has %s %v, want %v", name, line[name], want)
		}
	}
	eventually(t, "they are counted among the verdicts", func() error {
		m := regexp.MustCompile(`gatewright_verdicts_total\{reason="allowed",route="admins",verdict="allowed"\} [12]\b`)
		if !m.MatchString(g.metrics()) {
			return errors.New("not yet")
		}
		return nil
	})
	get(t, g.url("public", "/admin/1"), bearer(token(t, p, "sub=bob", "role=buyer", "scope=users:read"))).denied(t, 403, "claim-mismatch")
	get(t, g.url("public", "/users/1")).denied(t, 401, "credential-missing")
	get(t, g.url("public", "/users/1"), bearer("x.y.z")).denied(t, 401, "token-malformed")
	if n := g.hops(); n != asked+3 {
		t.Errorf("the gateway was asked about %d bad requests, want 3", n-asked)
	}
}

// TestTheGatewayIsGone: what Envoy surely lets pass goes on, and nothing else does.
func TestTheGatewayIsGone(t *testing.T) {
	t.Parallel()
	insideEnvoy(t, testTheGatewayIsGone)
}

func testTheGatewayIsGone(t *testing.T, module bool) {
	g, p, _ := startTokensIn(t, module)
	good := bearer(token(t, p, "sub=alice", "scope=users:read"))
	g.letsPass(func() reply { return get(t, g.url("public", "/users/0"), good) })
	if err := g.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer g.cmd.Process.Signal(syscall.SIGCONT)
	get(t, g.url("public", "/users/1"), good).ok(t)
	get(t, g.url("public", "/users/1"), bearer("x.y.z")).denied(t, 503, "authz-unavailable")
}

// TestKeysRotateInsideEnvoy: under load no good token is refused through a rotation, and
// tokens by the new key are soon let pass.
func TestKeysRotateInsideEnvoy(t *testing.T) {
	t.Parallel()
	insideEnvoy(t, testKeysRotateInsideEnvoy)
}

func testKeysRotateInsideEnvoy(t *testing.T, module bool) {
	g, p, _ := startTokensIn(t, module)
	var current atomic.Pointer[string]
	take := func() { raw := token(t, p, "sub=alice", "scope=users:read"); current.Store(&raw) }
	take()
	ask := func() reply { return get(t, g.url("public", "/users/1"), bearer(*current.Load())) }
	g.letsPass(ask)
	end := make(chan struct{})
	var load sync.WaitGroup
	for range 2 {
		load.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				// One of the old key is refused, and rightly, once there is a newer one.
				raw := *current.Load()
				if r := get(t, g.url("public", "/users/1"), bearer(raw)); r.Status != http.StatusOK && raw == *current.Load() {
					t.Errorf("a good token: %v", errStatus(r))
				}
			}
		})
	}
	if err := p.Rotate(); err != nil {
		t.Fatal(err)
	}
	take()
	g.letsPass(ask) // the first one asks for the new key; from then on Envoy has it
	close(end)
	load.Wait()
}

// guarded is a route with a breaker in front of its backend.
const guarded = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"], breaker: {errorRate: 0.5, window: 10s, minRequests: 5, openFor: 500ms, ramp: 500ms}}
auth:
` + jwtMain + `
routes:
  - name: app
    match: {path: /app/**}
    auth: {{.auth}}
    to: [{backend: app}]
`

// readers are those who may use a route that is not public.
const readers = "{anyOf: [{jwt: main, scopes: [users:read]}]}"

// TestABreakerBringsTheHopBack: nobody is asked while it is closed; when it opens, requests
// are asked about and denied; when it has closed again, they are until all of them pass,
// and then nobody is. Who may use the route does not matter.
func TestABreakerBringsTheHopBack(t *testing.T) {
	t.Parallel()
	for name, auth := range map[string]string{"tokens": readers, "module": readers, "public": "public"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, app := idp(t), newScripted(t, good)
			g := start(t, setup{config: guarded, module: name == "module", values: map[string]string{"issuer": p.Issuer(), "app": app.addr, "auth": auth}})
			caller := bearer(token(t, p, "sub=alice", "scope=users:read"))
			ask := func() reply { return get(t, g.url("public", "/app/1"), caller) }
			g.letsPass(ask)
			app.do(bad)
			began, passed := time.Now(), 0
			eventually(t, "the breaker denies", func() error {
				r := ask()
				if r.Status == http.StatusServiceUnavailable && strings.Contains(r.Body, "circuit-open") {
					return nil
				}
				passed++
				return fmt.Errorf("status %d", r.Status)
			})
			t.Logf("%d requests and %v from the first failure to the first denial", passed, time.Since(began).Round(time.Millisecond))
			app.do(good)
			g.letsPass(ask)
			get(t, g.url("public", "/app/2"), caller).ok(t)
			if line := g.logged("/app/2"); line["reason"] != "allowed" || line["policy"] == nil {
				t.Errorf("logged: %v", line)
			}
		})
	}
}
