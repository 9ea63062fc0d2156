package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const hashByCaller = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  rooms: {endpoints: [{{.endpoints}}], loadBalancing: {policy: maglev, hash: ["claim:team", user, "cookie:guest"]}}
  forwarded: {endpoints: [{{.endpoints}}], loadBalancing: {policy: ring_hash, hash: ["header:X-User-ID"]}}
auth:
` + jwtMain + `      forward: {sub: X-User-ID}
routes:
  - {name: rooms, match: {path: /rooms}, auth: {anyOf: [{jwt: main}], allowAnonymous: true}, to: [{backend: rooms}]}
  - {name: open, match: {path: /open}, auth: public, to: [{backend: rooms}]}
  - {name: sides, match: {path: /sides}, auth: {anyOf: [{jwt: main}]}, to: [{backend: rooms, weight: 1}, {backend: forwarded, weight: 1}], sticky: [user]}
  - {name: forwarded, match: {path: /forwarded}, auth: {anyOf: [{jwt: main}]}, to: [{backend: forwarded}]}
`

// TestHashByCaller: who the caller is, by the token, leads to the same endpoint, on
// each route and whatever else the request has; no client can say it, and no backend
// sees it.
func TestHashByCaller(t *testing.T) {
	t.Parallel()
	issuer := idp(t)
	a, b, c := backend(t, "a"), backend(t, "b"), backend(t, "c")
	g := start(t, setup{config: hashByCaller, values: map[string]string{"endpoints": quotedList(a, b, c), "issuer": issuer.Issuer()}})
	token := func(user, team string) header {
		claims := map[string]any{"sub": user}
		if team != "" {
			claims["team"] = team
		}
		return bearer(issuer.Token(claims))
	}
	// at is where requests go that have these headers: each time the same place.
	at := func(t *testing.T, path string, headers ...header) string {
		t.Helper()
		first := answeredBy(t, g.url("public", path), headers...)
		for i := range 2 {
			more := append(slices.Clone(headers), header{"X-Noise", fmt.Sprint(i)})
			if got := answeredBy(t, g.url("public", path), more...); got != first {
				t.Fatalf("%s with %v is at %s and then at %s", path, headers, first, got)
			}
		}
		return first
	}
	users := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprintf("user-%d", i))
		}
		return names
	}(16)

	for name, path := range map[string]string{"by user": "/rooms", "by the header that a provider forwards": "/forwarded"} {
		t.Run(name, func(t *testing.T) {
			used := map[string]int{}
			for _, user := range users {
				used[at(t, path, token(user, ""))]++
			}
			if len(used) != 3 {
				t.Errorf("the users are at %v: all endpoints must have some", used)
			}
		})
	}
	t.Run("a claim goes before", func(t *testing.T) {
		used := map[string]int{}
		for i := range 8 {
			team := fmt.Sprintf("team-%d", i)
			its := at(t, "/rooms", token("somebody", team))
			used[its]++
			for _, user := range users[:4] {
				if got := answeredBy(t, g.url("public", "/rooms"), token(user, team), header{"Cookie", "guest=" + user}); got != its {
					t.Errorf("%s of %s is at %s, and somebody else of it at %s", user, team, got, its)
				}
			}
		}
		if len(used) < 2 {
			t.Errorf("all teams are at %v", used)
		}
	})
	t.Run("who is nobody goes by the next part", func(t *testing.T) {
		used := map[string]int{}
		for _, guest := range users {
			used[at(t, "/rooms", header{"Cookie", "guest=" + guest})]++
			if open, judged := at(t, "/open", header{"Cookie", "guest=" + guest}), at(t, "/rooms", header{"Cookie", "guest=" + guest}); open != judged {
				t.Errorf("a guest is at %s on a public route, and at %s on the other", open, judged)
			}
		}
		if len(used) != 3 {
			t.Errorf("the guests are at %v", used)
		}
	})
	t.Run("on the sides of a canary, too", func(t *testing.T) {
		for _, user := range users[:12] {
			its := at(t, "/sides", token(user, ""))
			if rooms, forwarded := at(t, "/rooms", token(user, "")), at(t, "/forwarded", token(user, "")); its != rooms && its != forwarded {
				t.Errorf("%s is at %s, and would be at %s or %s", user, its, rooms, forwarded)
			}
		}
	})
	t.Run("no header says it", func(t *testing.T) {
		own := at(t, "/rooms", token("user-0", ""))
		for _, user := range users {
			forged := []header{token("user-0", ""), {"X-User-ID", user}, {"gatewright.hash.user", user}, {"X-Gatewright-Hash", user}}
			if got := answeredBy(t, g.url("public", "/rooms"), forged...); got != own {
				t.Errorf("with headers of a client's own it is at %s, not at %s", got, own)
			}
		}
		e := get(t, g.url("public", "/rooms"), token("user-0", "red")).ok(t).echo(t)
		for name, values := range e.Headers {
			if strings.EqualFold(name, "X-User-ID") {
				continue // which the provider forwards
			}
			if text := strings.Join(values, ","); text == "red" || text == "user-0" {
				t.Errorf("the backend sees %s: %s", name, text)
			}
		}
	})
	t.Run("a claim that cannot be told", func(t *testing.T) {
		r := get(t, g.url("public", "/rooms"), token("user-0", strings.Repeat("x", 5000)))
		r.denied(t, http.StatusUnauthorized, "token-claims-invalid")
	})
}
