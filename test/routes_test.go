package test

import (
	"fmt"
	"net/http"
	"testing"
)

const moving = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  shadow: {endpoints: ["{{.shadow}}"]}
auth:
  apiKey: {keys: {forward: {tenant: X-Tenant-ID}}}
routes:
  - {name: vars, match: {path: "/shop/{id}/items/{item}/**"}, auth: public, to: [{backend: app}], rewrite: {path: "/v1/{item}/of/{id}/**", host: shop.internal}}
  - {name: strip, match: {path: /api/v1.0/**}, auth: public, to: [{backend: app}], rewrite: {path: /**}}
  - {name: add, match: {path: /add/**}, auth: public, to: [{backend: app}], rewrite: {path: /prefix/add/**}}
  - {name: one, match: {path: /any/**}, auth: public, to: [{backend: app}], rewrite: {path: /one}}
  - {name: host, match: {path: /host}, auth: public, to: [{backend: app}], rewrite: {host: other.internal}}
  - {name: docs, match: {path: /docs/**}, auth: public, redirect: {status: 301, scheme: https, host: docs.example.com, path: /v2/**}}
  - {name: home, match: {path: /home/**}, auth: public, redirect: {status: 308, path: /**}}
  - {name: scheme, match: {path: /secure/**}, auth: public, redirect: {scheme: https}}
  - {name: member, match: {path: "/m/{id}"}, auth: {anyOf: [{apiKey: keys}]}, redirect: {status: 307, path: "/members/{id}"}}
  - {name: mirrored, match: {path: /mirrored}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}], mirror: {backend: shadow}}
  - {name: half, match: {path: /half}, auth: public, to: [{backend: app}], mirror: {backend: shadow, percent: 50}}
  - {name: none, match: {path: /none}, auth: public, to: [{backend: app}], mirror: {backend: shadow, percent: 0}}
`

func startMoving(t *testing.T) (g *gateway, shadow service) {
	t.Helper()
	shadow = backend(t, "shadow")
	return start(t, setup{config: moving, values: map[string]string{"app": backend(t, "app").Addr(), "shadow": shadow.Addr()}}), shadow
}

// TestRewrites: the backend sees another path and host; the query stays, and the
// log has the path that the client asked for.
func TestRewrites(t *testing.T) {
	t.Parallel()
	g, _ := startMoving(t)
	for _, c := range []struct{ asked, path, host string }{
		{"/shop/7/items/ab", "/v1/ab/of/7", "shop.internal"},
		{"/shop/7/items/ab/", "/v1/ab/of/7/", "shop.internal"},
		{"/shop/7/items/a%20b/x/y", "/v1/a%20b/of/7/x/y", "shop.internal"},
		{"/shop/$1/items/\\1/x", "", ""}, // a backslash is no path
		{"/api/v1.0", "/", ""},
		{"/api/v1.0/", "/", ""},
		{"/api/v1.0/users/1", "/users/1", ""},
		{"/add", "/prefix/add", ""},
		{"/add/x", "/prefix/add/x", ""},
		{"/any/thing/at/all", "/one", ""},
		{"/host", "/host", "other.internal"},
	} {
		r := get(t, g.url("public", c.asked+"?q=1&r=%2F"), header{"Host", "client.example"})
		if c.path == "" {
			if r.Status == http.StatusOK {
				t.Errorf("%s passed", c.asked)
			}
			continue
		}
		e := r.ok(t).echo(t)
		host := c.host
		if host == "" {
			host = "client.example"
		}
		if e.Path != c.path || e.Host != host || e.Query != "q=1&r=%2F" {
			t.Errorf("%s: the backend sees %s?%s on %s, want %s on %s", c.asked, e.Path, e.Query, e.Host, c.path, host)
		}
	}
	g.logged("/shop/7/items/ab")
}

// TestValues: what headers and query parameters may be asked to be. The route
// that says more takes the request.
func TestValues(t *testing.T) {
	t.Parallel()
	const values = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
routes:
  - {name: any, match: {path: /a}, auth: public, respond: {status: 200, body: any}}
  - {name: exact, match: {path: /a, headers: {X: "v1"}}, auth: public, respond: {status: 200, body: exact}}
  - {name: prefix, match: {path: /a, headers: {X: {prefix: v}}}, auth: public, respond: {status: 200, body: prefix}}
  - {name: regex, match: {path: /b, headers: {X: {regex: "a+"}}}, auth: public, respond: {status: 200, body: regex}}
  - {name: present, match: {path: /c, headers: {X: {present: true}}}, auth: public, respond: {status: 200, body: present}}
  - {name: absent, match: {path: /c, headers: {X: {absent: true}}}, auth: public, respond: {status: 200, body: absent}}
  - {name: q-exact, match: {path: /d, query: {q: ""}}, auth: public, respond: {status: 200, body: q-exact}}
  - {name: q-prefix, match: {path: /d, query: {q: {prefix: v}}}, auth: public, respond: {status: 200, body: q-prefix}}
  - {name: q-regex, match: {path: /d, query: {q: {regex: "a+"}}}, auth: public, respond: {status: 200, body: q-regex}}
  - {name: q-present, match: {path: /e, query: {q: {present: true}}}, auth: public, respond: {status: 200, body: q-present}}
  - {name: q-absent, match: {path: /e, query: {q: {absent: true}}}, auth: public, respond: {status: 200, body: q-absent}}
`
	g := start(t, setup{config: values})
	for _, c := range []struct{ path, x, want string }{
		{"/a", "", "any"}, {"/a", "v1", "exact"}, {"/a", "v2", "prefix"}, {"/a", "w", "any"},
		{"/b", "aaa", "regex"}, {"/b", "aab", ""}, {"/b", "baa", ""}, {"/b", "", ""},
		{"/c", "x", "present"}, {"/c", "", "absent"},
		{"/d?q=", "", "q-exact"}, {"/d?q=v1", "", "q-prefix"}, {"/d?q=aa", "", "q-regex"}, {"/d?q=ab", "", ""}, {"/d", "", ""},
		{"/e?q=1", "", "q-present"}, {"/e?q=", "", "q-present"}, {"/e", "", "q-absent"}, {"/e?p=1", "", "q-absent"},
	} {
		var headers []header
		if c.x != "" {
			headers = append(headers, header{"X", c.x})
		}
		r := get(t, g.url("public", c.path), headers...)
		if c.want == "" {
			r.denied(t, 404, "route-not-found")
		} else if r.Status != http.StatusOK || r.Body != c.want {
			t.Errorf("%s with X %q: %d %s, want %s", c.path, c.x, r.Status, r.Body, c.want)
		}
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	g, _ := startMoving(t)
	for _, c := range []struct {
		asked, location string
		status          int
	}{
		{"/docs", "https://docs.example.com/v2", 301},
		{"/docs/a/b?x=1", "https://docs.example.com/v2/a/b?x=1", 301},
		{"/home/a", "http://client.example/a", 308},
		{"/home", "http://client.example/", 308},
		{"/secure/x?y=2", "https://client.example/secure/x?y=2", 302},
	} {
		r := get(t, g.url("public", c.asked), header{"Host", "client.example"})
		if got := r.Header.Get("Location"); r.Status != c.status || got != c.location {
			t.Errorf("%s: %d to %s, want %d to %s", c.asked, r.Status, got, c.status, c.location)
		}
	}
	get(t, g.url("public", "/m/5")).denied(t, 401, "credential-missing")
	r := get(t, g.url("public", "/m/5"), g.createKey().header(), header{"Host", "client.example"})
	if r.Status != 307 || r.Header.Get("Location") != "http://client.example/members/5" {
		t.Errorf("with a key: %d to %s", r.Status, r.Header.Get("Location"))
	}
}

// TestMirrors: the copy goes out after the judgement, with the identity that we
// vouch for and no other, and its answer is nobody's.
func TestMirrors(t *testing.T) {
	t.Parallel()
	g, shadow := startMoving(t)
	shadow.SetStatus(http.StatusInternalServerError)
	copies := func(want int64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d copies have come", want), func() error {
			if n := shadow.Requests(); n != want {
				return fmt.Errorf("%d have", n)
			}
			return nil
		})
	}
	get(t, g.url("public", "/mirrored")).denied(t, 401, "credential-missing")
	key := g.createKey("--tenant", "acme")
	get(t, g.url("public", "/mirrored"), key.header(), header{"X-Tenant-ID", "forged"}).ok(t)
	copies(1)
	if got := shadow.last.Load().Get("X-Tenant-ID"); got != "acme" {
		t.Errorf("the copy says that the tenant is %q", got)
	}
	hammer(t, 100, func() (reply, error) { return try(http.MethodGet, g.url("public", "/none")) })
	copies(1)
	hammer(t, 400, func() (reply, error) { return try(http.MethodGet, g.url("public", "/half")) })
	eventually(t, "about half are copied", func() error {
		if n := shadow.Requests() - 1; n < 150 || n > 250 { // five standard deviations
			return fmt.Errorf("%d of 400 are", n)
		}
		return nil
	})
}
