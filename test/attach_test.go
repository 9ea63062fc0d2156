package test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/gatewright/gatewright/internal/demo"
	"github.com/gatewright/gatewright/internal/testenv"
)

// attached is the config of a Gatewright that judges for an Envoy whose routes
// come from elsewhere: testdata/attached.yaml.
const attached = `
listeners:
  - {name: unused, address: "{{listen "unused"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  fragile: {endpoints: ["{{.app}}"], breaker: {minRequests: 5, window: 1m, openFor: 1h}}
auth:
` + jwtMain + `      forward: {sub: X-User-ID, plan: X-Plan}
limits:
  three-a-day: {key: ["header:X-Region", route], tokenBucket: {capacity: 3, refill: 1/d}}
routes:
  - {name: open, match: {path: /public/**}, auth: public, to: [{backend: app}]}
  - {name: admin, match: {path: /admin/**}, auth: {anyOf: [{jwt: main, scopes: [admin]}]}, to: [{backend: app}]}
  - {name: me, match: {path: /me}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
  - {name: read, match: {methods: [GET], path: "/items/{id}"}, auth: public, to: [{backend: app}]}
  - {name: beta, match: {methods: [GET], path: "/items/{id}", headers: {X-Beta: "1,2"}, query: {v: "2"}}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
  - {name: write, match: {hosts: [shop.example], methods: [POST], path: "/items/{id}"}, auth: {anyOf: [{jwt: main, scopes: ["items:write"]}]}, to: [{backend: app}]}
  - {name: region, match: {path: /region}, auth: public, limits: [three-a-day], to: [{backend: app}]}
  - {name: fragile, match: {path: /fragile}, auth: public, to: [{backend: fragile}]}
  - {name: several, match: {path: /several}, auth: public, to: [{backend: fragile, weight: 1}, {backend: app, weight: 1}]}
`

// The listeners of that Envoy, and what they do.
var attachedListeners = []map[string]any{
	{"name": "raw", "raw": true, "normal": false},
	{"name": "joined", "raw": false, "normal": false},
	{"name": "normal-raw", "raw": true, "normal": true},
	{"name": "normal-joined", "raw": false, "normal": true},
}

// startAttached runs a Gatewright that serves no Envoy of its own, and beside
// it somebody's own.
func startAttached(t *testing.T) (*gateway, *demo.IDP) {
	t.Helper()
	return startAttachedTelling(t, "")
}

// startAttachedTelling is startAttached with an Envoy that sends its access log to a
// socket. Empty: to the Gatewright.
func startAttachedTelling(t *testing.T, logs string) (*gateway, *demo.IDP) {
	t.Helper()
	p, app := idp(t), backend(t, "app")
	socket := filepath.Join(testenv.ShortDir(t), "judge")
	g := start(t, setup{config: attached, serve: true, env: []string{"GATEWRIGHT_GRPC_ADDR=unix:" + socket},
		values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()}})
	var listeners []map[string]any
	for _, l := range attachedListeners {
		addr := testenv.Addr(t)
		_, port, _ := net.SplitHostPort(addr)
		listeners = append(listeners, map[string]any{"name": l["name"], "raw": l["raw"], "normal": l["normal"], "port": port})
		g.listeners[l["name"].(string)] = addr
	}
	_, port, _ := net.SplitHostPort(app.Addr())
	g.startEnvoy(map[string]any{"listeners": listeners, "app": port, "judge": socket, "logs": logs})
	return g, p
}

// startEnvoy starts the Envoy of testdata/attached.yaml, and returns when its
// listeners are there.
func (g *gateway) startEnvoy(values map[string]any) {
	g.t.Helper()
	var listeners []string
	for _, l := range attachedListeners {
		listeners = append(listeners, g.listeners[l["name"].(string)])
	}
	foreignEnvoy(g.t, "testdata/attached.yaml", values, listeners...)
}

// foreignEnvoy starts an Envoy that has its config from nobody: from a template and
// its values. It returns when the Envoy listens at these addresses.
func foreignEnvoy(t testing.TB, name string, values map[string]any, listeners ...string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var config bytes.Buffer
	if err := template.Must(template.New("envoy").Parse(string(text))).Execute(&config, values); err != nil {
		t.Fatal(err)
	}
	testenv.StartEnvoy(t, testenv.EnvoyRun{Config: config.Bytes()})
	eventually(t, "the Envoy listens", func() error {
		for _, addr := range listeners {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			conn.Close()
		}
		return nil
	})
}

// onEachAttached tells a story of each listener.
func onEachAttached(t *testing.T, g *gateway, story func(t *testing.T, listener string)) {
	t.Helper()
	for _, l := range attachedListeners {
		t.Run(l["name"].(string), func(t *testing.T) { story(t, l["name"].(string)) })
	}
}

// TestForeignEnvoyIsJudged: routes are found by host, method, path, headers and
// query, and what they ask for is asked.
func TestForeignEnvoyIsJudged(t *testing.T) {
	t.Parallel()
	g, p := startAttached(t)
	admin, nobody := bearer(token(t, p, "sub=alice", "scope=admin")), bearer(token(t, p, "sub=bob"))
	writer := bearer(token(t, p, "sub=carol", "scope=items:write"))
	shop := header{"Host", "SHOP.example:8080"}
	onEachAttached(t, g, func(t *testing.T, l string) {
		get(t, g.url(l, "/public/a?x=%2e%2e/#")).ok(t)
		get(t, g.url(l, "/public/foreign-words")).ok(t)
		get(t, g.url(l, "/admin/a")).denied(t, 401, "credential-missing")
		get(t, g.url(l, "/admin/a"), bearer("a.b.c")).denied(t, 401, "token-malformed")
		get(t, g.url(l, "/admin/a"), nobody).denied(t, 403, "scope-missing")
		e := get(t, g.url(l, "/admin/a"), admin).ok(t).echo(t)
		if e.header("X-User-ID") != "alice" || e.header("Authorization") != "" {
			t.Errorf("the backend sees user %q and credential %q", e.header("X-User-ID"), e.header("Authorization"))
		}
		get(t, g.url(l, "/admin/a"), admin, admin).denied(t, 400, "duplicate-credential")
		do(t, http.MethodTrace, g.url(l, "/public/a")).denied(t, 405, "method-refused")
		get(t, g.url(l, "/nowhere"), admin).denied(t, 404, "route-not-found")

		get(t, g.url(l, "/items/1")).ok(t)
		do(t, http.MethodPost, g.url(l, "/items/1")).denied(t, 404, "route-not-found") // of no shop
		do(t, http.MethodPost, g.url(l, "/items/1"), shop).denied(t, 401, "credential-missing")
		do(t, http.MethodPost, g.url(l, "/items/1"), shop, nobody).denied(t, 403, "scope-missing")
		do(t, http.MethodPost, g.url(l, "/items/1"), shop, writer).ok(t)
		get(t, g.url(l, "/items/1?v=2"), header{"X-Beta", "1"}, header{"x-beta", "2"}).denied(t, 401, "credential-missing")
		get(t, g.url(l, "/items/1?v=3"), header{"X-Beta", "1"}, header{"x-beta", "2"}).ok(t)
		get(t, g.url(l, "/items/1?v=2"), header{"X-Beta", "1,2"}, nobody).ok(t)

		// Words of ours that are wrong are never a reason to look for others.
		get(t, g.url(l, "/wrong-policy")).denied(t, 503, "policy-unknown")
		get(t, g.url(l, "/route-alone")).denied(t, 503, "policy-unknown")
	})
	g.hasMetric(`gatewright_verdicts_total{reason="scope-missing",route="admin",verdict="denied"} 4`)
}

// TestForeignEnvoyForgeries: identity headers of a client reach no backend by
// such an Envoy either, however they are spelt and on whatever route.
func TestForeignEnvoyForgeries(t *testing.T) {
	t.Parallel()
	g, p := startAttached(t)
	alice := bearer(token(t, p, "sub=alice"))
	onEachAttached(t, g, func(t *testing.T, l string) {
		forged := []header{{"X-User-ID", "root"}, {"x-user-id", "root"}, {"X-Plan", "gold"}, {"X-Tenant-ID", "acme"}, {"X-User-Role", "admin"}}
		for path, user := range map[string]string{"/public/a": "", "/me": "alice"} {
			e := get(t, g.url(l, path), append(forged, alice)...).ok(t).echo(t)
			for name, want := range map[string]string{"X-User-ID": user, "X-Plan": "", "X-Tenant-ID": "", "X-User-Role": ""} {
				if got := e.header(name); got != want {
					t.Errorf("%s: the backend sees %s %q, want %q", path, name, got, want)
				}
			}
		}
		r := g.raw(l, "GET /me HTTP/1.1\r\nHost: a\r\nX_User_ID: root\r\nx-user_id: root\r\nAuthorization: "+alice.value+"\r\nConnection: close\r\n\r\n")
		if strings.HasPrefix(l, "normal") { // its Envoy refuses underscores
			if r.Status != http.StatusBadRequest {
				t.Errorf("a header with underscores: %d", r.Status)
			}
		} else if body := r.ok(t).Body; strings.Contains(body, "root") || !strings.Contains(body, "alice") {
			t.Errorf("the backend sees %s", body)
		}
	})
}

// TestForeignEnvoyPaths: an Envoy that does not normalize paths has those
// refused that a backend could read in another way; one that does is asked about
// what it has made of them.
func TestForeignEnvoyPaths(t *testing.T) {
	t.Parallel()
	g, _ := startAttached(t)
	spellings := []string{
		"/public/../admin/x", "/public/%2e%2e/admin/x", "/public/.%2e/admin/x", "/public/..%2fadmin/x", "/public/..%5cadmin/x",
		`/public/..\admin/x`, `/public\..\admin/x`, "/public//../admin/x", "//admin/x", "/public//x", "/./admin/x", "/%61dmin/x",
		"/public/%2e%2e;/admin/x", "/public/..;/admin/x", "/public/..;a=b/admin/x", "/public/.;/../admin/x", "/public/%2e;/%2e%2E;x/admin/x",
		"/public/..%00/admin/x", "/public/x/../../../admin/x", "/public/..#/admin", "/public/\xff/x", "/public/.\xff./admin/x", "/public/%/x/..;/",
	}
	for i := range 256 {
		spellings = append(spellings, fmt.Sprintf("/public/..%%%02xadmin/x", i))
	}
	onEachAttached(t, g, func(t *testing.T, l string) {
		for _, spelling := range spellings {
			r := g.raw(l, "GET "+spelling+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			switch r.Status {
			case http.StatusOK:
				got := r.echo(t).Path
				if meant := obligingMeaning(got); !strings.HasPrefix(meant, "/public/") && meant != "/public" {
					t.Errorf("%s passed without a credential and reached the backend as %s, which can be read as %s", spelling, got, meant)
				}
			case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound:
			default:
				t.Errorf("%s: status %d %s", spelling, r.Status, r.Body)
			}
		}
	})
	for _, l := range []string{"raw", "joined"} {
		for _, spelling := range []string{"/public/../admin/x", "//admin/x", "/public/%2e%2e;/admin", "/public/%2F", "/%61dmin"} {
			g.raw(l, "GET "+spelling+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").denied(t, 400, "path-refused")
		}
	}
	g.raw("normal-raw", "GET /public/../admin/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").denied(t, 401, "credential-missing")
	g.raw("normal-raw", "GET /public/%2e%2e;/admin/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").denied(t, 400, "path-refused")
}

// obligingMeaning is meaning for a backend that cuts parameters off segments
// first, as servlet containers do.
func obligingMeaning(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return meaning(strings.Join(segments, "/"))
}

// TestForeignEnvoyLimits: limits count as ever, and a header that is there twice
// is none to count by.
func TestForeignEnvoyLimits(t *testing.T) {
	t.Parallel()
	g, _ := startAttached(t)
	onEachAttached(t, g, func(t *testing.T, l string) {
		region := header{"X-Region", "of " + l}
		for left := 2; left >= 0; left-- {
			if got := get(t, g.url(l, "/region"), region).ok(t).Header.Get("RateLimit-Remaining"); got != fmt.Sprint(left) {
				t.Errorf("%s left, want %d", got, left)
			}
		}
		get(t, g.url(l, "/region"), region).denied(t, 429, "rate-limited")
		get(t, g.url(l, "/region"), region, header{"X-Region", "another"}).denied(t, 400, "duplicate-header")
	})
}

// TestForeignEnvoyFollowsTheConfig: what the next config says is what holds, and
// a config with faults changes nothing.
func TestForeignEnvoyFollowsTheConfig(t *testing.T) {
	t.Parallel()
	g, _ := startAttached(t)
	url := g.url("raw", "/public/a")
	get(t, url).ok(t)
	closed := strings.Replace(attached, "path: /public/**}, auth: public", "path: /public/**}, auth: {anyOf: [{jwt: main}]}", 1)
	g.write(closed)
	eventually(t, "the route is closed", func() error {
		if r := get(t, url); r.Status != http.StatusUnauthorized {
			return errStatus(r)
		}
		return nil
	})
	g.write(strings.Replace(attached, "/public/**", "public", 1))
	eventually(t, "the fault is told", func() error {
		if !strings.Contains(g.stderr.String(), "config fault") {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	get(t, url).denied(t, 401, "credential-missing")
}

// TestForeignEnvoyBreaker: on a route with one backend its breaker is asked, and hears by
// that Envoy's access logs how requests end, whatever the Envoy calls its cluster. On a
// route with several nobody knows which one the Envoy has picked.
func TestForeignEnvoyBreaker(t *testing.T) {
	t.Parallel()
	g, _ := startAttached(t)
	const l = "raw"
	for range 5 {
		if r := get(t, g.url(l, "/fragile?status=500")); r.Status != http.StatusInternalServerError {
			t.Fatal(errStatus(r))
		}
	}
	eventually(t, "the breaker opens", func() error {
		if r := get(t, g.url(l, "/fragile?status=500")); !isOpen(r) {
			return errStatus(r)
		}
		return nil
	})
	get(t, g.url("joined", "/fragile")).denied(t, 503, "circuit-open")
	get(t, g.url(l, "/several")).ok(t)
}
