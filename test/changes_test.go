package test

import (
	"fmt"
	"strings"
	"testing"
)

const headerSides = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  v1: {endpoints: ["{{.v1}}"]}
  v2: {endpoints: ["{{.v2}}"]}
routes:
  - name: split
    match: {path: /split}
    auth: public
    to:
      - {backend: v1, weight: 1, request: {set: {X-Side: old}}, response: {add: {X-Backend: side}}}
      - {backend: v2, weight: 0, request: {set: {X-Side: new}, remove: [X-Old]}}
    pin: {header: X-Canary, values: {"yes": v2}}
    request: {set: {X-Set: a%b}, add: {X-Add: ours}, remove: [X-Gone]}
    response: {add: {Vary: Origin}}
  - {name: one, match: {path: /one}, auth: public, to: [{backend: v1, request: {add: {X-Add: one}}, response: {remove: [X-Backend]}}]}
  - {name: port, match: {path: /port/**}, auth: public, redirect: {port: 8443, scheme: https, path: /**}}
  - {name: usual, match: {path: /usual}, auth: public, redirect: {port: 443, scheme: https}}
  - {name: other, match: {path: /other}, auth: public, redirect: {port: 443}}
  - {name: two, match: {path: /two}, auth: public, to: [{backend: v1}], mirrors: [{backend: v2}, {backend: v1, percent: 0}]}
  - {name: both, match: {path: /both}, auth: public, to: [{backend: v1}], mirrors: [{backend: v2}, {backend: v1}]}
  - {name: try, match: {path: /try}, auth: public, to: [{backend: v1}], retry: {attempts: 0, perTryTimeout: 200ms}}
`

// TestHeaderChanges: what a route sets, adds and removes on every side of a
// split, and what a side does for itself; pinned, by weight, and alone.
func TestHeaderChanges(t *testing.T) {
	t.Parallel()
	v1, v2 := backend(t, "v1"), backend(t, "v2")
	g := start(t, setup{config: headerSides, values: map[string]string{"v1": v1.Addr(), "v2": v2.Addr()}})
	sent := []header{{"X-Set", "theirs"}, {"X-Add", "theirs"}, {"X-Gone", "theirs"}, {"X-Old", "theirs"}, {"X-Side", "theirs"}}
	check := func(e echo, want map[string]string) {
		t.Helper()
		for name, value := range want {
			if got := e.header(name); got != value {
				t.Errorf("%s sees %s %q, want %q", e.Backend, name, got, value)
			}
		}
	}
	for range 20 { // a weight of 0 is never drawn
		r := get(t, g.url("public", "/split"), sent...).ok(t)
		check(r.echo(t), map[string]string{"X-Set": "a%b", "X-Add": "theirs|ours", "X-Gone": "", "X-Old": "theirs", "X-Side": "old"})
		if got := strings.Join(r.Header.Values("X-Backend"), "|"); got != "v1|side" {
			t.Errorf("X-Backend of the answer: %s", got)
		}
	}
	r := get(t, g.url("public", "/split"), append(sent, header{"X-Canary", "yes"})...).ok(t)
	check(r.echo(t), map[string]string{"X-Set": "a%b", "X-Add": "theirs|ours", "X-Gone": "", "X-Old": "", "X-Side": "new"})
	if got := strings.Join(r.Header.Values("X-Backend"), "|"); got != "v2" || r.Header.Get("Vary") != "Origin" {
		t.Errorf("the answer of the pinned side: %v", r.Header)
	}
	r = get(t, g.url("public", "/one"), sent...).ok(t)
	check(r.echo(t), map[string]string{"X-Set": "theirs", "X-Add": "theirs|one"})
	if got := r.Header.Values("X-Backend"); len(got) > 0 {
		t.Errorf("X-Backend of the answer: %s", got)
	}
}

// TestRedirectPorts: a port is said where the scheme does not say it.
func TestRedirectPorts(t *testing.T) {
	t.Parallel()
	app := backend(t, "app").Addr()
	g := start(t, setup{config: headerSides, values: map[string]string{"v1": app, "v2": app}})
	for asked, location := range map[string]string{
		"/port/a?b=c": "https://client.example:8443/a?b=c",
		"/usual":      "https://client.example/usual",
		"/other":      "http://client.example:443/other",
	} {
		r := get(t, g.url("public", asked), header{"Host", "client.example:1234"})
		if got := r.Header.Get("Location"); r.Status != 302 || got != location {
			t.Errorf("%s: %d to %s, want 302 to %s", asked, r.Status, got, location)
		}
	}
}

// TestSeveralMirrors: each has a share of its own.
func TestSeveralMirrors(t *testing.T) {
	t.Parallel()
	v1, v2 := backend(t, "v1"), backend(t, "v2")
	g := start(t, setup{config: headerSides, values: map[string]string{"v1": v1.Addr(), "v2": v2.Addr()}})
	for _, c := range []struct {
		path   string
		v1, v2 int64
	}{{"/two", 1, 1}, {"/both", 3, 2}} {
		get(t, g.url("public", c.path)).ok(t)
		eventually(t, "the copies have come", func() error {
			if a, b := v1.Requests(), v2.Requests(); a != c.v1 || b != c.v2 {
				return fmt.Errorf("%d and %d requests, want %d and %d", a, b, c.v1, c.v2)
			}
			return nil
		})
	}
}

// TestTryTimeout: one attempt is bounded, although none is repeated.
func TestTryTimeout(t *testing.T) {
	t.Parallel()
	v1 := backend(t, "v1")
	g := start(t, setup{config: headerSides, values: map[string]string{"v1": v1.Addr(), "v2": v1.Addr()}})
	get(t, g.url("public", "/try")).ok(t)
	get(t, g.url("public", "/try?delay=5s")).denied(t, 504, "backend-timeout")
	if n := v1.Requests(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}
