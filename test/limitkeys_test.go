package test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

const countedByMuch = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
trustedHops: 1
rateLimitHeaders: both
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
` + jwtMain + `limits:
  by-method: {key: [method, "header:X-Run"], tokenBucket: {capacity: 2, refill: 1/d}}
  by-rule: {key: ['rule:request.path.startsWith("/rule/v2/") ? "v2" : "v1"', "header:X-Run"], tokenBucket: {capacity: 2, refill: 1/d}}
  by-tier: {key: ["rule:string(claims.tier)", "header:X-Run"], tokenBucket: {capacity: 2, refill: 1/d}}
  by-48: {key: [clientIP, "header:X-Run"], ipv6Prefix: 48, tokenBucket: {capacity: 2, refill: 1/d}}
  by-128: {key: [clientIP, "header:X-Run"], ipv6Prefix: 128, tokenBucket: {capacity: 3, refill: 1/d}}
  five-each: {key: ["header:X-Run"], cost: 5, tokenBucket: {capacity: 10, refill: 1/d}}
  by-header: {key: ["header:X-Run"], cost: {header: X-Cost, default: 2, max: 8}, tokenBucket: {capacity: 10, refill: 1/d}}
  small: {key: ["header:X-Run"], cost: {header: X-Cost}, tokenBucket: {capacity: 10, refill: 1/d}}
  writes: {key: ["header:X-Run"], cost: {rule: 'request.method == "POST" ? 6 : 0'}, tokenBucket: {capacity: 10, refill: 1/d}}
routes:
  - {name: method, match: {path: /method}, auth: public, limits: [by-method], to: [{backend: app}]}
  - {name: rule, match: {path: /rule/**}, auth: public, limits: [by-rule], to: [{backend: app}]}
  - {name: tier, match: {path: /tier}, auth: {anyOf: [{jwt: main}]}, limits: [by-tier], to: [{backend: app}]}
  - {name: prefixes, match: {path: /prefixes}, auth: public, limits: [by-48, by-128], to: [{backend: app}]}
  - {name: five, match: {path: /five}, auth: public, limits: [five-each], to: [{backend: app}]}
  - {name: header, match: {path: /header}, auth: public, limits: [by-header], to: [{backend: app}]}
  - {name: small, match: {path: /small}, auth: public, limits: [small], to: [{backend: app}]}
  - {name: writes, match: {path: /writes}, auth: public, limits: [writes], to: [{backend: app}]}
`

// TestWhatLimitsCountByAndCost: methods, rules, prefixes of addresses and costs,
// through both doors to one and the same buckets.
func TestWhatLimitsCountByAndCost(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, app := idp(t), backend(t, "app")
			g := start(t, setup{config: countedByMuch, env: env(t), values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()}})
			doors := []string{"public", "filtered"}
			run := 0
			// asks sends requests, through one door and the other in turn, and wants of
			// each how many are left: -1 is a denial.
			type asked struct {
				method, path string
				headers      []header
				left         int
			}
			asks := func(all ...asked) {
				t.Helper()
				run++
				for i, a := range all {
					door := doors[(i+run)%2]
					r := do(t, a.method, g.url(door, a.path), append(a.headers, header{"X-Run", strconv.Itoa(run)})...)
					if a.left < 0 {
						if p := r.denied(t, 429, "rate-limited"); r.Header.Get("Retry-After") == "" && !strings.Contains(p.Detail+r.Body, "never") {
							t.Errorf("%s %s %v through %s: no Retry-After: %v", a.method, a.path, a.headers, door, r)
						}
						continue
					}
					if left := r.ok(t).Header.Get("RateLimit-Remaining"); left != strconv.Itoa(a.left) || r.Header.Get("X-RateLimit-Remaining") != left {
						t.Errorf("%s %s %v through %s: %q left, X- %q; want %d", a.method, a.path, a.headers, door, left, r.Header.Get("X-RateLimit-Remaining"), a.left)
					}
				}
			}
			asks(asked{"GET", "/method", nil, 1}, asked{"POST", "/method", nil, 1}, asked{"GET", "/method", nil, 0}, asked{"GET", "/method", nil, -1}, asked{"POST", "/method", nil, 0})
			asks(asked{"GET", "/rule/a", nil, 1}, asked{"GET", "/rule/v2/a", nil, 1}, asked{"GET", "/rule/b?v2", nil, 0}, asked{"GET", "/rule/v1", nil, -1}, asked{"GET", "/rule/v2/b", nil, 0})
			gold, silver, none := bearer(token(t, p, "tier=gold")), bearer(token(t, p, "tier=silver")), bearer(token(t, p, "sub=x"))
			asks(asked{"GET", "/tier", []header{gold}, 1}, asked{"GET", "/tier", []header{silver}, 1}, asked{"GET", "/tier", []header{gold}, 0}, asked{"GET", "/tier", []header{gold}, -1},
				asked{"GET", "/tier", []header{none}, 1}, asked{"GET", "/tier", []header{none}, 0}, asked{"GET", "/tier", []header{none}, -1})
			ip := func(s string) []header { return []header{{"X-Forwarded-For", s}} }
			asks(asked{"GET", "/prefixes", ip("2001:db8:1:1::1"), 1}, asked{"GET", "/prefixes", ip("2001:db8:1:2::1"), 0}, asked{"GET", "/prefixes", ip("2001:db8:1:3::1"), -1}, asked{"GET", "/prefixes", ip("2001:db8:2:1::1"), 1})
			asks(asked{"GET", "/five", nil, 5}, asked{"GET", "/five", nil, 0}, asked{"GET", "/five", nil, -1})
			cost := func(s string) []header { return []header{{"X-Cost", s}} }
			asks(asked{"GET", "/header", cost("3"), 7}, asked{"GET", "/header", nil, 5}, asked{"GET", "/header", cost("junk"), 3}, asked{"GET", "/header", cost("99"), -1}, asked{"GET", "/header", cost("3"), 0})
			asks(asked{"GET", "/writes", nil, 10}, asked{"POST", "/writes", nil, 4}, asked{"POST", "/writes", nil, -1}, asked{"GET", "/writes", nil, 4})
			for i, door := range doors {
				r := get(t, g.url(door, "/small"), header{"X-Run", fmt.Sprint("never", i)}, header{"X-Cost", "11"})
				told := door == "filtered" || strings.Contains(r.Body, "never") // Envoy's own filter has a word of its own
				if r.Status != http.StatusTooManyRequests || !told || r.Header.Get("Retry-After") != "" {
					t.Errorf("%s: more than there ever is: %d, Retry-After %q: %s", door, r.Status, r.Header.Get("Retry-After"), r.Body)
				}
				get(t, g.url(door, "/small"), header{"X-Cost", "1"}, header{"X-Cost", "1"}).denied(t, 400, "duplicate-header")
				get(t, g.url(door, "/small"), header{"X-Cost", "1\xff"}).denied(t, 400, "malformed-header")
			}
			if n := readMetric(t, g, `gatewright_limit_rule_failures_total{limit="by-tier"}`); n != 3 {
				t.Errorf("%d failures of rules are counted, want 3", n)
			}
		})
	}
}

// TestRateLimitHeadersAreAChoice, by a reload, on both kinds of listeners.
func TestRateLimitHeadersAreAChoice(t *testing.T) {
	t.Parallel()
	p, app := idp(t), backend(t, "app")
	g := start(t, setup{config: countedByMuch, values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()}})
	has := func(r reply) (ietf, x bool) {
		return r.Header.Get("RateLimit-Limit") != "" && r.Header.Get("RateLimit-Remaining") != "" && r.Header.Get("RateLimit-Reset") != "",
			r.Header.Get("X-RateLimit-Limit") != "" && r.Header.Get("X-RateLimit-Remaining") != "" && r.Header.Get("X-RateLimit-Reset") != ""
	}
	for _, c := range []struct {
		says    string
		ietf, x bool
	}{
		{"rateLimitHeaders: both\n", true, true}, {"rateLimitHeaders: x\n", false, true}, {"", true, false},
		{"rateLimitHeaders: none\n", false, false}, {"rateLimitHeaders: ietf\n", true, false},
	} {
		g.write(strings.Replace(countedByMuch, "rateLimitHeaders: both\n", c.says, 1))
		for _, door := range []string{"public", "filtered"} {
			region := header{"X-Run", strings.TrimSpace("headers "+c.says) + door}
			eventually(t, fmt.Sprintf("%s: headers as %q says", door, c.says), func() error {
				ok := get(t, g.url(door, "/five"), region)
				if ietf, x := has(ok); ietf != c.ietf || x != c.x {
					return fmt.Errorf("status %d, headers %v", ok.Status, ok.Header)
				}
				return nil
			})
			for range 2 {
				get(t, g.url(door, "/five"), region)
			}
			r := get(t, g.url(door, "/five"), region)
			r.denied(t, 429, "rate-limited")
			if ietf, x := has(r); ietf != c.ietf || x != c.x || r.Header.Get("Retry-After") == "" {
				t.Errorf("%q through %s: %v", c.says, door, r.Header)
			}
		}
	}
}
