package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const limitsInShadow = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
backends:
  app: {endpoints: ["{{.app}}"]}
limits:
  tried: {key: ["header:X-Run"], mode: shadow, tokenBucket: {capacity: 2, refill: 1/d}}
  real: {key: ["header:X-Run"], tokenBucket: {capacity: 4, refill: 1/d}}
routes:
  - {name: both, match: {path: /both/**}, auth: public, limits: [tried, real], to: [{backend: app}]}
`

// TestLimitsInShadow: they deny nobody, are logged and counted and shown by status,
// and are what they said once they are enforced, with what has been used up.
func TestLimitsInShadow(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := start(t, setup{config: limitsInShadow, env: env(t), values: map[string]string{"app": backend(t, "app").Addr()}})
			run := header{"X-Run", "a"}
			for i, want := range []struct {
				status int
				shadow any
			}{{200, nil}, {200, nil}, {200, "rate-limited"}, {200, "rate-limited"}, {429, "rate-limited"}} {
				path := fmt.Sprintf("/both/%d", i)
				r := get(t, g.url("public", path), run)
				if r.Status != want.status || r.Header.Get("RateLimit-Limit") != "4" {
					t.Errorf("%s: %d, headers %v", path, r.Status, r.Header)
				}
				if line := g.logged(path); line["shadow"] != want.shadow {
					t.Errorf("%s: the log says %v in shadow, want %v", path, line["shadow"], want.shadow)
				}
			}
			other := header{"X-Run", "b"}
			for i, want := range []struct{ reason, limit, shadow any }{ // Envoy's own filter
				{"allowed", nil, nil}, {"allowed", nil, nil}, {"allowed", nil, "rate-limited"}, {"allowed", nil, "rate-limited"},
				{"rate-limited", "real", "rate-limited"},
			} {
				path := fmt.Sprintf("/both/filtered%d", i)
				r := get(t, g.url("filtered", path), other)
				if i < 4 {
					r.ok(t)
				} else {
					r.denied(t, 429, "rate-limited")
				}
				if line := g.logged(path); line["reason"] != want.reason || line["limit"] != want.limit || line["shadow"] != want.shadow {
					t.Errorf("%s: the log says reason %v, limit %v and %v in shadow, want %v", path, line["reason"], line["limit"], line["shadow"], want)
				}
			}
			var status struct {
				LimitsInShadow []struct {
					Limit              string
					Charged, WouldDeny int
				}
			}
			if err := json.Unmarshal(g.run("status", "-o", "json"), &status); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(status.LimitsInShadow); got != "[{tried 10 6}]" {
				t.Errorf("status says %s", got)
			}
			if text := strings.Join(strings.Fields(string(g.run("status"))), " "); !strings.Contains(text, "LIMIT IN SHADOW CHARGED WOULD DENY tried 10 6") {
				t.Errorf("status says %s", text)
			}
			if m := g.metrics(); !strings.Contains(m, `gatewright_ratelimit_decisions_total{limit="tried",result="shadow_denied"} 6`) {
				t.Errorf("metrics: %s", only(m, "gatewright_ratelimit_decisions"))
			}
			g.write(strings.Replace(limitsInShadow, "mode: shadow, ", "", 1))
			third := header{"X-Run", "c"}
			eventually(t, "the limit is enforced", func() error {
				if r := get(t, g.url("public", "/both/x"), third); r.Status != http.StatusTooManyRequests || r.Header.Get("RateLimit-Limit") != "2" {
					return errStatus(r)
				}
				return nil
			})
		})
	}
}
