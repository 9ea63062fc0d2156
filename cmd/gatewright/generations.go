package main

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/plan"
)

// planGrace is how long a plan is kept after every Envoy has acknowledged
// another. An Envoy acknowledges before the last of its worker threads has
// taken the change over, and a request keeps the route that it was given: for
// some moments Envoys still ask by plans that none of them runs.
const planGrace = 30 * time.Second

// generations are the plans by which requests may still have to be judged,
// beside the one that is served. The zero value has none.
type generations struct{ old []oldPlan }

// oldPlan is a plan that is not served any more.
type oldPlan struct {
	plan *plan.Plan
	// left is when every Envoy had acknowledged a later one. The zero time is
	// not yet.
	left time.Time
	// gone are the names of the routes that the plan after it has not.
	gone []string
}

// retire adds a plan that has just been replaced by one without the routes
// named. nil is the absence of one.
func (g *generations) retire(p *plan.Plan, gone []string) {
	if p != nil {
		g.old = append(g.old, oldPlan{plan: p, gone: gone})
	}
}

// settled says that every Envoy has acknowledged the plan that is served now,
// and drops the plans that none has asked by for longer than planGrace. It
// returns those.
func (g *generations) settled(now time.Time) (dropped []oldPlan) {
	var kept []oldPlan
	for _, o := range g.old {
		if o.left.IsZero() {
			o.left = now
		}
		if now.Sub(o.left) > planGrace {
			dropped = append(dropped, o)
		} else {
			kept = append(kept, o)
		}
	}
	g.old = kept
	return dropped
}

// with are a plan and all that are kept, the newest first.
func (g *generations) with(p *plan.Plan) []*plan.Plan {
	all := []*plan.Plan{p}
	for _, o := range slices.Backward(g.old) {
		all = append(all, o.plan)
	}
	return all
}

// judging are the plans by which requests are judged, the newest first: what
// Envoys may name is looked up in each of them. The zero value has none.
type judging struct{ plans atomic.Pointer[[]*plan.Plan] }

func (j *judging) set(plans []*plan.Plan) { j.plans.Store(&plans) }

// lookUp is what the newest of the plans that has it says, or the zero value.
func lookUp[V any](j *judging, in func(*plan.Plan) (V, bool)) (V, bool) {
	if plans := j.plans.Load(); plans != nil {
		for _, p := range *plans {
			if v, ok := in(p); ok {
				return v, true
			}
		}
	}
	var none V
	return none, false
}

// Policy implements authz.PolicySource.
func (j *judging) Policy(hash string) *authz.Policy {
	policy, _ := lookUp(j, func(p *plan.Plan) (*authz.Policy, bool) {
		policy := p.Policy(hash)
		return policy, policy != nil
	})
	return policy
}

// HasRoute and HasBackend implement outcome.Names.
func (j *judging) HasRoute(name string) bool {
	_, ok := lookUp(j, func(p *plan.Plan) (struct{}, bool) { return struct{}{}, p.HasRoute(name) })
	return ok
}

func (j *judging) HasBackend(name string) bool {
	_, ok := lookUp(j, func(p *plan.Plan) (struct{}, bool) { return struct{}{}, p.HasBackend(name) })
	return ok
}

// namesPlan tells whether a config that is in use names a plan of customers.
func (j *judging) namesPlan(name string) bool {
	_, ok := lookUp(j, func(p *plan.Plan) (struct{}, bool) { return struct{}{}, p.NamesPlan(name) })
	return ok
}

// limit is a limit that an Envoy may name in its rate limit calls.
func (j *judging) limit(name string) *config.Limit {
	limit, _ := lookUp(j, func(p *plan.Plan) (*config.Limit, bool) {
		limit, ok := p.Config.Limits[name]
		return limit, ok
	})
	return limit
}

// rateLimitHeaders are those by which answers to Envoy's rate limit calls tell of
// limits.
func (j *judging) rateLimitHeaders() config.RateLimitHeaders {
	headers, _ := lookUp(j, func(p *plan.Plan) (config.RateLimitHeaders, bool) { return p.Config.RateLimitHeaders, true })
	return headers
}
