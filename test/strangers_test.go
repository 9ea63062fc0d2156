package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const strange = `
listeners:
  - {name: public, address: "{{listen "public"}}", trustedHops: 1}
  - {name: filtered, address: "{{listen "filtered"}}", trustedHops: 1, rateLimit: filter}
  - {name: plain, address: "{{listen "plain"}}", trustedHops: 1}
backends:
  app: {endpoints: ["{{.app}}"]}
limits:
  three: {key: [clientIP], tokenBucket: {capacity: 3, refill: 1/d}}
strangers: {limits: [three]}
routes:
  - {name: everywhere, match: {path: /public/**}, auth: public, to: [{backend: app}]}
  - {name: shop, match: {hosts: [shop.example], path: /shop/**}, auth: public, to: [{backend: app}]}
  - {name: query, match: {path: /query, query: {a: "1"}}, auth: public, to: [{backend: app}]}
`

// TestStrangersAreLimited by their address, whatever it is that no route takes,
// and on every kind of listener; a caller of routes is not, and none is for
// another.
func TestStrangersAreLimited(t *testing.T) {
	t.Parallel()
	for form, filler := range map[string]string{"table": "", "scoped": manyRoutes(100, 10)} {
		app := backend(t, "app")
		g := start(t, setup{config: strange + filler, values: map[string]string{"app": app.Addr()}})
		n := 0
		for _, listener := range []string{"public", "filtered"} {
			for _, c := range []struct {
				line, host, reason string
				status             int
			}{
				{"GET /nowhere", "a", "route-not-found", 404},
				{"GET /nowhere", "shop.example", "route-not-found", 404},
				{"GET /shop/x", "unknown.example", "route-not-found", 404},
				{"GET /query?a=2", "a", "route-not-found", 404},
				{"TRACE /public/x", "a", "method-refused", 405},
				{"GET /public/%2e%2e;/x", "a", "path-refused", 400},
				{"GET /public/x", "a,b", "host-refused", 400},
			} {
				n++
				client := fmt.Sprintf("198.51.100.%d", n)
				ask := func(line, host string) reply {
					return g.raw(listener, line+" HTTP/1.1\r\nHost: "+host+"\r\nX-Forwarded-For: "+client+"\r\nConnection: close\r\n\r\n")
				}
				for range 3 {
					r := ask(c.line, c.host)
					r.denied(t, c.status, c.reason)
					if r.Header.Get("RateLimit-Limit") != "3" {
						t.Errorf("%s, %s, %s: no word of the limit: %v", form, listener, c.line, r.Header)
					}
				}
				r := ask(c.line, c.host)
				r.denied(t, 429, "rate-limited")
				if r.Header.Get("Retry-After") == "" {
					t.Errorf("%s, %s, %s: no Retry-After", form, listener, c.line)
				}
				ask("GET /other/nowhere", "other.example").denied(t, 429, "rate-limited")
				ask("GET /public/x", "a").ok(t)
				ask("GET /shop/x", "shop.example").ok(t)
			}
		}
		if got, want := app.Requests(), int64(2*n); got != want {
			t.Errorf("%s: the backend got %d requests, want %d", form, got, want)
		}
		get(t, g.url("public", "/logged"), header{"X-Forwarded-For", "203.0.113.1"}).denied(t, 404, "route-not-found")
		line := g.logged("/logged")
		if line["reason"] != "route-not-found" || line["route"] != "gatewright.not-found" || line["limit"] != "three" || line["client_ip"] != "203.0.113.1" {
			t.Errorf("%s: access log: %v", form, line)
		}
	}
}

// TestStrangersWithoutLimits: by default nothing is asked of them.
func TestStrangersWithoutLimits(t *testing.T) {
	t.Parallel()
	config := strings.Replace(strange, "strangers: {limits: [three]}\n", "", 1)
	g := start(t, setup{config: config, values: map[string]string{"app": backend(t, "app").Addr()}})
	for range 5 {
		get(t, g.url("plain", "/nowhere")).denied(t, 404, "route-not-found")
	}
	g.write(strange) // and from then on they are
	eventually(t, "strangers are limited", func() error {
		if r := get(t, g.url("plain", "/nowhere")); r.Status != http.StatusTooManyRequests {
			return errStatus(r)
		}
		return nil
	})
}

// TestOddHosts: a request that does not name one host reaches no backend and is
// in the log, on hosts that routes name and on others; how a host that is one
// may be written changes nothing.
func TestOddHosts(t *testing.T) {
	t.Parallel()
	for form, filler := range map[string]string{"table": "", "scoped": manyRoutes(100, 10)} {
		app := backend(t, "app")
		g := start(t, setup{config: strange + filler, values: map[string]string{"app": app.Addr()}})
		n := 0
		ask := func(line, hosts string) reply {
			n++ // a stranger each time
			return g.raw("public", fmt.Sprintf("%s HTTP/1.1\r\n%s\r\nX-Forwarded-For: 2001:db8:%x::1\r\nConnection: close\r\n\r\n", line, hosts, n))
		}
		for _, hosts := range []string{
			"Host: a\r\nHost: b", "Host: a\r\nHost: a", "Host: shop.example\r\nHost: a", "Host: a,shop.example", "Host: ", "Host: user@a", "Host: user:pw@shop.example",
			"Host: shop.example@a", "Host: a:", "Host: a:x", "Host: a:80:80", "Host: [::1", "Host: [::1]x", "Host: ::1", "Host: a;b", "Host: a%2eb", "Host: *", "Host: *.example", "Host: a'b", "Host: a!b", "Host: a~b", "Host: a=b",
		} {
			ask("GET /public/odd", hosts).denied(t, 400, "host-refused")
		}
		for _, hosts := range []string{ // what Envoy takes for no request at all
			"X-None: a", "Host: a b", "Host: a/b", "Host: a?b", "Host: a#b", `Host: a\b`, "Host: \xff", "Host: a\x00b", "Host: a\x7f", "Host: a\tb", "Host: <a>", "Host: a\r\n b", "Host : a",
			"Host: http://a", "Host: ${a}", "Host: ä",
		} {
			if r := ask("GET /public/odd", hosts); r.Status != http.StatusBadRequest {
				t.Errorf("%s, %q: status %d", form, hosts, r.Status)
			}
		}
		for _, line := range []string{"GET http:///public/odd", "GET http://a,b/public/odd", "GET ftp://a/public/odd", "GET public/odd", "GET a:80/public/odd", "GET *"} {
			if r := ask(line, "Host: a"); r.Status != http.StatusBadRequest {
				t.Errorf("%s, %s: status %d", form, line, r.Status)
			}
		}
		for _, line := range []string{"OPTIONS *", "GET http://shop.example", "GET http://a?/public/odd", "GET //a/public/odd"} {
			if r := ask(line, "Host: a"); r.Status != http.StatusNotFound {
				t.Errorf("%s, %s: status %d", form, line, r.Status)
			}
		}
		if got := app.Requests(); got != 0 {
			t.Errorf("%s: %d of them reached the backend", form, got)
		}
		for line, want := range map[string]string{
			"GET /shop/x | shop.example": "shop.example", "GET /shop/x | SHOP.example:80": "SHOP.example", "GET /public/x | [::1]:8080": "[::1]", "GET /public/x | under_score": "under_score",
			"GET http://shop.example/shop/x | a": "shop.example", "GET http://shop.example:80/shop/x | a,b": "shop.example", "GET http://user@shop.example/shop/x | a": "shop.example",
		} {
			target, host, _ := strings.Cut(line, " | ")
			if got := ask(target, "Host: "+host).ok(t).echo(t).Host; got != want {
				t.Errorf("%s, %s: the backend sees the host %q, want %q", form, line, got, want)
			}
		}
		eventually(t, "each is in the log", func() error {
			if lines := len(g.accessLog()); lines != n {
				return fmt.Errorf("%d lines for %d requests", lines, n)
			}
			return nil
		})
	}
}
