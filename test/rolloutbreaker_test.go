package test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// stickyRollout is a route whose callers are kept on their sides, with a rollout, the canary of
// which has a breaker that opens long before the rollout has its requests.
const stickyRollout = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  v1: {endpoints: ["{{.v1}}"], breaker: {}}
  v2: {endpoints: ["{{.v2}}"], breaker: {minRequests: 10, openFor: 1h}}
auth:
` + jwtMain + `routes:
  - name: users
    match: {path: /users/**}
    auth: {anyOf: [{jwt: main}]}
    to: [{backend: v1, weight: 1}, {backend: v2, weight: 0}]
    sticky: [user]
    rollout: {backend: v2, steps: [20, 100], every: 1h, abortWhen: {errorRate: 0.05, minRequests: 150}}
`

// TestStickyBreakerAndRolloutTogether: a canary fails. Its breaker opens, after which it
// has no requests to be judged by; it is taken back all the same, for those that the
// breaker keeps from it. Nobody of the other side notices, then nobody at all; and when it is
// well and begins anew, the same callers come to it as before.
func TestStickyBreakerAndRolloutTogether(t *testing.T) {
	t.Parallel()
	p, v1, v2 := idp(t), newScripted(t, good), newScripted(t, good)
	g := start(t, setup{config: stickyRollout, env: []string{"GATEWRIGHT_ADMIN_TOKEN=" + adminToken},
		values: map[string]string{"v1": v1.addr, "v2": v2.addr, "issuer": p.Issuer()}})
	g.rolloutBegun("users")
	callers := make([]header, 100)
	for i := range callers {
		callers[i] = bearer(token(t, p, fmt.Sprintf("sub=user-%d", i)))
	}
	url := g.url("public", "/users/1")
	// canary are the callers who come to v2, by their numbers.
	canary := func() map[int]bool {
		out := map[int]bool{}
		for i, caller := range callers {
			before := v2.requests()
			get(t, url, caller).ok(t)
			if v2.requests() > before {
				out[i] = true
			}
		}
		return out
	}
	var before map[int]bool
	eventually(t, "the canary has its callers", func() error {
		if before = canary(); len(before) < 5 || len(before) > 50 {
			return fmt.Errorf("%d of %d", len(before), len(callers))
		}
		return nil
	})
	if again := canary(); !maps.Equal(again, before) {
		t.Fatalf("callers of the canary: %v, and then %v", before, again)
	}

	v2.do(bad)
	broken := 0
	eventually(t, "the canary is taken back", func() error {
		for i, caller := range callers {
			r := get(t, url, caller)
			switch {
			case r.Status == http.StatusOK:
			case !before[i]:
				t.Fatalf("a caller of the other side: %v", errStatus(r))
			case isOpen(r):
				broken++
			case r.Status != http.StatusInternalServerError:
				t.Fatal(errStatus(r))
			}
		}
		if s := g.rollouts()[0]; s.Phase != "aborted" {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	s := g.rollouts()[0]
	t.Logf("taken back: %s", s.Why)
	if !strings.Contains(s.Why, "it failed ") || broken == 0 {
		t.Errorf("%d requests were denied by the breaker; %s", broken, s.Why)
	}
	eventually(t, "nobody comes to it", func() error {
		for _, caller := range callers {
			if r := get(t, url, caller); r.Status != http.StatusOK {
				return errStatus(r)
			}
		}
		return nil
	})
	if b := g.breaker("v2"); b.State != "open" {
		t.Errorf("the breaker is %+v", b)
	}

	v2.do(good)
	g.run("breaker", "close", "v2")
	g.run("breaker", "auto", "v2")
	g.run("rollout", "resume", "users")
	eventually(t, "the same callers come to it", func() error {
		if now := canary(); !maps.Equal(now, before) {
			return fmt.Errorf("%v, not %v", now, before)
		}
		return nil
	})
	g.run("rollout", "promote", "users")
	eventually(t, "all come to it", func() error {
		if now := canary(); len(now) != len(callers) {
			return fmt.Errorf("%d of %d", len(now), len(callers))
		}
		return nil
	})
}
