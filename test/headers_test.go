package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"
)

const identity = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  apiKey:
    keys: {forward: {tenant: X-Tenant-ID, owner: X-Account}}
limits:
  plenty: {key: [clientIP], tokenBucket: {capacity: 100000, refill: 1/s}}
routes:
  - {name: open, match: {path: /public/**}, auth: public, to: [{backend: app}]}
  - {name: limited, match: {path: /limited/**}, auth: public, limits: [plenty], to: [{backend: app}]}
  - {name: closed, match: {path: /admin/**}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
`

// TestIdentityComesOnlyFromUs: what a client says of itself reaches no backend,
// on any kind of route.
func TestIdentityComesOnlyFromUs(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: identity, values: map[string]string{"app": backend(t, "app").Addr()}})
	key := g.createKey("--tenant", "acme")
	forged := []header{
		{"X-User-ID", "root"}, {"x-user-role", "admin"}, {"X-Tenant-ID", "other"}, {"X-Account", "other"},
		{"X-Trace-ID", "forged"}, {"X-TENANT-ID", "third"},
	}
	for route, want := range map[string]string{"/public/1": "", "/limited/1": "", "/admin/1": "acme"} {
		e := get(t, g.url("public", route), append(forged, key.header())...).ok(t).echo(t)
		for _, name := range []string{"X-User-ID", "X-User-Role", "X-Account"} {
			if v := e.header(name); v != "" {
				t.Errorf("%s: the backend sees %s %q", route, name, v)
			}
		}
		if v := e.header("X-Tenant-ID"); v != want {
			t.Errorf("%s: the backend sees X-Tenant-ID %q, want %q", route, v, want)
		}
		if v := e.header("X-Trace-ID"); v == "forged" || len(v) != 32 {
			t.Errorf("%s: the backend sees X-Trace-ID %q", route, v)
		}
	}
	for _, name := range []string{"X-User-Identity", "Pre-X-User-ID", "X-Real-IPs", "Sw80", "X-Envoyed", "Baggages"} {
		if v := get(t, g.url("public", "/public/1"), header{name, "mine"}).ok(t).echo(t).header(name); v != "mine" {
			t.Errorf("the backend sees %s %q: that is the client's own to say", name, v)
		}
	}
	for _, name := range []string{"x_user_id", "X_Tenant_ID"} {
		r := g.raw("public", "GET /public/1 HTTP/1.1\r\nHost: a\r\n"+name+": root\r\nConnection: close\r\n\r\n")
		if r.Status != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400: some backends read _ as -", name, r.Status)
		}
	}
	r := g.raw("public", "GET /admin/1 HTTP/1.1\r\nHost: a\r\nX-API-Key: "+key.Key+"\r\nConnection: close, x-tenant-id\r\n\r\n").ok(t)
	if v := r.echo(t).header("X-Tenant-ID"); v != "acme" {
		t.Errorf("a client that names our header in Connection made it %q", v)
	}
}

// TestPathsHaveOneMeaning: whatever way a path is spelt, what passes without a
// credential is a path under /public when it reaches the backend.
func TestPathsHaveOneMeaning(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: identity, values: map[string]string{"app": backend(t, "app").Addr()}})
	spellings := []string{
		"/public/../admin/x", "/public/%2e%2e/admin/x", "/public/.%2e/admin/x", "/public/..%2fadmin/x",
		"/public/..%5cadmin/x", `/public/..\admin/x`, `/public\..\admin/x`, "/public//../admin/x", "//admin/x",
		"/./admin/x", "/%61dmin/x", "/public/%2e%2e%2fadmin/x", "/public/%252e%252e/admin/x", "/public/..;/admin/x",
		"/public/;/../admin/x", "/admin", "/admin/", "/ADMIN/x", "/publicadmin", "/public/../../admin/x",
		"/public/..%c0%afadmin/x", "/public/..%00/admin/x", "/public/x/..%2f..%2fadmin/x", "http://h/admin/x",
		"/public/%2e%2e;/admin/x", "/public/%2e%2E;a=b/admin/x", "/public/.%2e;/admin/x", "/public/%2e.;/admin/x", "/public/x/%2e%2e;/%2e%2e;/admin/x",
		`/public/\..;/admin/x`, "/public/%2e;/../admin/x", "/public/%2e%2e;", "/public/%2e%2e;?x=/public/",
	}
	for i := range 256 {
		spellings = append(spellings, fmt.Sprintf("/public/..%%%02xadmin/x", i))
	}
	for _, spelling := range spellings {
		r := g.raw("public", "GET "+spelling+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		switch r.Status {
		case http.StatusOK:
			got := r.echo(t).Path
			if meant := obligingMeaning(got); !strings.HasPrefix(meant, "/public/") && meant != "/public" {
				t.Errorf("%s passed without a credential and reached the backend as %s, which can be read as %s", spelling, got, meant)
			}
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound:
		default:
			t.Errorf("%s: status %d", spelling, r.Status)
		}
	}
	get(t, g.url("public", "/public/1")).ok(t)
}

// TestDotSegmentsWithParameters: what Envoy itself passes on as /..;/ is refused,
// on every host and route, and what only looks like it is not.
func TestDotSegmentsWithParameters(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: identity, values: map[string]string{"app": backend(t, "app").Addr()}})
	for _, path := range []string{"/public/%2e%2e;/admin/x", "/public/%2e;x", "/%2e%2e;", "/admin/%2e%2e;/y", "/nowhere/%2e%2e;a?b=c"} {
		for _, host := range []string{"a", "unknown.example"} {
			g.raw("public", "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n").denied(t, 400, "path-refused")
		}
	}
	for _, path := range []string{"/public/a..;/b", "/public/...;/b", "/public/x.;y", "/public/;/b", "/public/a;b=c/d", "/public/a?next=/..;/x", "/public/a?%2e%2e;"} {
		if r := g.raw("public", "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); r.Status != http.StatusOK {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
	line := g.logged("/public/..;/admin/x")
	if line["route"] != "gatewright.refused" || line["reason"] != "path-refused" || line["status"] != 400.0 {
		t.Errorf("access log: %v", line)
	}
}

// TestTraceAndConnect reach no backend, on whatever route.
func TestTraceAndConnect(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: identity, values: map[string]string{"app": app.Addr()}})
	for _, path := range []string{"/public/1", "/limited/1", "/admin/1", "/nowhere"} {
		r := g.raw("public", "TRACE "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		r.denied(t, 405, "method-refused")
		if allow := r.Header.Get("Allow"); !strings.Contains(allow, "GET") || strings.Contains(allow, "TRACE") {
			t.Errorf("%s: Allow is %q", path, allow)
		}
	}
	for _, target := range []string{"a:80", app.Addr()} {
		g.raw("public", "CONNECT "+target+" HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n").denied(t, 405, "method-refused")
	}
	if r := g.raw("public", "CONNECT /public/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); r.Status != http.StatusBadRequest {
		t.Errorf("CONNECT to a path: %d %s", r.Status, r.Body)
	}
	if n := app.Requests(); n != 0 {
		t.Errorf("%d reached the backend", n)
	}
	do(t, http.MethodOptions, g.url("public", "/public/1")).ok(t)
}

// meaning is the path as the most obliging backend could read it.
func meaning(p string) string {
	if decoded, err := url.PathUnescape(p); err == nil {
		p = decoded
	}
	return path.Clean(strings.ReplaceAll(p, `\`, "/"))
}

// TestEnvoysOwnHeadersAreNotBelieved: a client, on loopback too, cannot steer
// Envoy by the headers with which its own services do.
func TestEnvoysOwnHeadersAreNotBelieved(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: identity, values: map[string]string{"app": backend(t, "app").Addr()}})
	e := get(t, g.url("public", "/public/1?delay=300ms"),
		header{"X-Envoy-Upstream-Rq-Timeout-Ms", "1"},
		header{"X-Envoy-Original-Path", "/admin/1"},
		header{"X-Envoy-Internal", "true"},
		header{"X-Forwarded-For", "10.0.0.1"},
	).ok(t).echo(t)
	for _, name := range []string{"X-Envoy-Upstream-Rq-Timeout-Ms", "X-Envoy-Original-Path", "X-Envoy-Internal"} {
		if v := e.header(name); v != "" {
			t.Errorf("the backend sees %s %q", name, v)
		}
	}
	if line := g.logged("/public/1"); line["client_ip"] != "127.0.0.1" {
		t.Errorf("the access log believes X-Forwarded-For: %v", line["client_ip"])
	}
}

// TestRoutesAreFoundByOurHeadersAlone: the headers by which a route is looked
// for are the gateway's; a client's own choose nothing, and no backend sees them.
func TestRoutesAreFoundByOurHeadersAlone(t *testing.T) {
	t.Parallel()
	for form, filler := range map[string]string{"table": "", "scoped": manyRoutes(100, 10)} {
		g := start(t, setup{config: identity + filler, values: map[string]string{"app": backend(t, "app").Addr()}})
		for _, lines := range []string{
			"X-Gatewright-Path: /public/1/\r\n",
			"X-Gatewright-Path: /public/1/\r\nx-gatewright-path: /public/1/\r\n",
			"X-Gatewright-Path: /public/1/\r\nConnection: x-gatewright-path\r\n",
			"X-Gatewright-Scope: routes-service/h1.fill.org\r\nX-Gatewright-Path: /r1/\r\n",
		} {
			g.raw("public", "GET /admin/1 HTTP/1.1\r\nHost: a\r\n"+lines+"\r\n").denied(t, 401, "credential-missing")
			e := g.raw("public", "GET /public/1?a=b HTTP/1.1\r\nHost: a\r\n"+lines+"\r\n").ok(t).echo(t)
			for _, name := range []string{"X-Gatewright-Path", "X-Gatewright-Scope"} {
				if v := e.header(name); v != "" {
					t.Errorf("%s: the backend sees %s %q", form, name, v)
				}
			}
		}
	}
}

// TestStrangers: what no route takes is answered and logged by the gateway.
func TestStrangers(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: identity, values: map[string]string{"app": backend(t, "app").Addr()}})
	get(t, g.url("public", "/nowhere")).denied(t, 404, "route-not-found")
	get(t, g.url("public", "/nowhere"), header{"Host", "stranger.example"}).denied(t, 404, "route-not-found")
	do(t, http.MethodDelete, g.url("public", "/nowhere")).denied(t, 404, "route-not-found")
	line := g.logged("/nowhere")
	if line["route"] != "gatewright.not-found" || line["reason"] != "route-not-found" || line["status"] != 404.0 {
		t.Errorf("access log: %v", line)
	}
}

// raw sends bytes as they are and reads one response.
func (g *gateway) raw(listener, request string) reply {
	g.t.Helper()
	r, err := g.tryRaw(listener, request)
	if err != nil {
		g.t.Fatalf("%.1000q: %v", request, err)
	}
	return r
}

// tryRaw is raw where there may be no response.
func (g *gateway) tryRaw(listener, request string) (reply, error) {
	conn, err := net.Dial("tcp", g.listeners[listener])
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return reply{}, err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return reply{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, err
}
