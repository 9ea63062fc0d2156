package authz

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

func flights() *config.Limit {
	return &config.Limit{Name: "flights", Key: []config.KeyPart{config.KeyClientIP}, Concurrency: &config.Concurrency{Max: 2}}
}

// TestRequestsInFlightAreHandedOn: the handles go to the access log stream, in
// either form of the reply, and nowhere else.
func TestRequestsInFlightAreHandedOn(t *testing.T) {
	g := newGate(t, nil, nil)
	g.limiter.answer = LimitResult{Allowed: true, Limit: "flights", Capacity: 2, Remaining: 1, Handles: []string{"s.1", "m.2"}}
	hash := g.publish(&Policy{Limits: []*config.Limit{flights()}})
	r := g.check(t, ask(hash, "/"))
	if got := r.GetDynamicMetadata().GetFields()["in_flight"].GetStringValue(); !allows(r) || got != "s.1 m.2" {
		t.Errorf("metadata %v", r.GetDynamicMetadata())
	}
	if text := r.GetOkResponse().String(); strings.Contains(text, "s.1") {
		t.Errorf("a handle goes to the backend or the client: %s", text)
	}
	if len(g.limiter.released) > 0 {
		t.Errorf("released %v", g.limiter.released)
	}
}

// cancels ends a request's context while it is charged.
type cancels struct {
	fakeLimiter
	cancel context.CancelFunc
}

func (c *cancels) Take(ctx context.Context, charges []Charge) LimitResult {
	c.cancel()
	return c.fakeLimiter.Take(ctx, charges)
}

// TestGivenUpWhileCharged: nobody would tell of the end of a request whose Envoy has
// given it up, so it is released at once.
func TestGivenUpWhileCharged(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	limiter := &cancels{cancel: cancel}
	limiter.answer = LimitResult{Allowed: true, Handles: []string{"s.1"}}
	policy := &Policy{Limits: []*config.Limit{flights()}}
	s := New(Options{Policies: knownPolicies{policy.Hash(): policy}, Limiter: limiter})
	v := s.judge(ctx, newRequest(ask(policy.Hash(), "/")))
	if v.Reason != ReasonDeadlineExceeded || !slices.Equal(limiter.released, []string{"s.1"}) {
		t.Errorf("%s, released %v", v.Reason, limiter.released)
	}
}

// TestRefusedAreNotInFlight: a request whose credential is refused ends with that.
func TestRefusedAreNotInFlight(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}}, Limits: []*config.Limit{flights(), limitBy("ip", "clientIP")}})
	g.check(t, ask(hash, "/"))
	if len(g.limiter.taken) != 1 || len(g.limiter.taken[0]) != 1 || g.limiter.taken[0][0].Limit.Name != "ip" {
		t.Errorf("charged %v", g.limiter.taken)
	}
}
