package authz

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/config"
)

// TestUnidentifiedIsCharged: who is refused, known or not, is charged to the
// limits for which that does not matter, in one call; on listeners that leave
// limits to Envoy's filter, too, since that is not asked about who is refused.
func TestUnidentifiedIsCharged(t *testing.T) {
	for _, inFilter := range []bool{false, true} {
		g := newGate(t, keySetsFor(t, mainJWT()), nil)
		hash := g.publish(NewPolicy(shop(), shopRoute(), inFilter))
		for _, c := range []struct {
			line   line
			status int
		}{
			{line{"x", "y"}, 401}, {withToken("x"), 401}, {withKey("gw_revoked"), 401},
			{withToken(rsaSigner().token(map[string]any{"scope": ""})), 403}, {withKey("gw_bare"), 403},
		} {
			before := len(g.limiter.taken)
			r := g.check(t, ask(hash, "/", c.line))
			if statusOf(r) != c.status || deniedHeader(r, "ratelimit-remaining") != "19" {
				t.Errorf("%v: %d %s, remaining %q", c.line, statusOf(r), reasonOf(r), deniedHeader(r, "ratelimit-remaining"))
			}
			taken := g.limiter.taken[before:]
			if len(taken) != 1 || len(taken[0]) != 1 || taken[0][0].Limit.Name != "per-ip" || !slices.Equal(taken[0][0].Key, []string{"192.0.2.7"}) {
				t.Errorf("%v: charged %v", c.line, taken)
			}
		}
	}
}

// TestUnidentifiedAndLimited: a limit that is used up is the answer, in place of
// what is wrong with the credential. A store that cannot answer is not.
func TestUnidentifiedAndLimited(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	hash := g.publish(NewPolicy(shop(), shopRoute(), false))
	g.limiter.answer = LimitResult{Limit: "per-ip", Capacity: 200, RetryAfter: 1500 * time.Millisecond}
	r := g.check(t, ask(hash, "/", withToken("x")))
	if statusOf(r) != 429 || reasonOf(r) != ReasonRateLimited || deniedHeader(r, "retry-after") != "2" || deniedHeader(r, "www-authenticate") != "" {
		t.Errorf("%d %s: %v", statusOf(r), reasonOf(r), headersOf(r.GetDeniedResponse().GetHeaders()))
	}
	g.limiter.answer = LimitResult{StoreDown: true}
	if r := g.check(t, ask(hash, "/", withToken("x"))); statusOf(r) != 401 || reasonOf(r) != ReasonTokenMalformed || deniedHeader(r, "www-authenticate") == "" {
		t.Errorf("without a store: %d %s", statusOf(r), reasonOf(r))
	}
}

// TestNobodyIsCharged for what is no fault of a credential, and where all limits
// need a caller.
func TestNobodyIsCharged(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	withStore := g.publish(NewPolicy(shop(), shopRoute(), false))
	callers := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}}, Limits: []*config.Limit{
		limitBy("u", "user"), limitBy("t", "tenant", "clientIP"), limitBy("k", "apiKey"), limitBy("c", "claim:plan"), limitBy("r", "rule:caller.plan"),
		{Name: "cost", Key: []config.KeyPart{"clientIP"}, Cost: &config.Cost{Rule: "int(claims.weight)"}},
	}})
	g.store.err = errStoreDown
	for _, c := range []struct {
		policy string
		lines  []line
		status int
	}{
		{withStore, []line{withKey("gw_good")}, 503},
		{withStore, []line{withKey("gw_good"), withKey("gw_good")}, 400},
		{callers, []line{withToken("x")}, 401},
	} {
		if r := g.check(t, ask(c.policy, "/", c.lines...)); statusOf(r) != c.status {
			t.Errorf("%v: %d %s", c.lines, statusOf(r), reasonOf(r))
		}
	}
	if len(g.limiter.taken) != 0 {
		t.Errorf("charged %v", g.limiter.taken)
	}
}

// TestKnownDenials: what is known to be used up is the answer before a signature is
// looked at, and without a call; for good tokens and those seen before, too.
func TestKnownDenials(t *testing.T) {
	reg := prometheus.NewRegistry()
	sets := NewKeySets(KeySetsOptions{Registerer: reg})
	t.Cleanup(sets.Close)
	sets.Ensure(t.Context(), []*config.JWT{mainJWT()})
	g := newGate(t, sets, func(o *Options) { o.Tokens = 10 })
	hash := g.publish(NewPolicy(shop(), shopRoute(), false))
	good := withToken(rsaSigner().token(map[string]any{"scope": "users:read", "role": "buyer", "level": 7}))
	if r := g.check(t, ask(hash, "/", good)); !allows(r) {
		t.Fatal(reasonOf(r))
	}
	signatures := testutil.ToFloat64(sets.metrics.signatures)
	if signatures != 1 {
		t.Fatalf("%v signatures", signatures)
	}
	g.limiter.known = LimitResult{Limit: "per-ip", Capacity: 200, RetryAfter: 700 * time.Millisecond}
	taken := len(g.limiter.taken)
	for i := range 10 {
		for _, l := range []line{good, withToken(rsaSigner().token(map[string]any{"jti": fmt.Sprint(i)})), {"x", "y"}} {
			r := g.check(t, ask(hash, "/", l))
			if statusOf(r) != 429 || reasonOf(r) != ReasonRateLimited || deniedHeader(r, "retry-after") != "1" {
				t.Fatalf("%d %s", statusOf(r), reasonOf(r))
			}
		}
	}
	if n := testutil.ToFloat64(sets.metrics.signatures); n != signatures || len(g.limiter.taken) != taken {
		t.Errorf("%v signatures and %d calls for requests that are known to be denied", n-signatures, len(g.limiter.taken)-taken)
	}
	g.limiter.known.Limit = "per-user" // a limit of callers is not asked for
	if r := g.check(t, ask(hash, "/", good)); !allows(r) {
		t.Error(reasonOf(r))
	}
}
