package main

import (
	"slices"
	"time"

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
}

// retire adds a plan that has just been replaced. nil is the absence of one.
func (g *generations) retire(p *plan.Plan) {
	if p != nil {
		g.old = append(g.old, oldPlan{plan: p})
	}
}

// settled says that every Envoy has acknowledged the plan that is served now,
// and drops the plans that none has asked by for longer than planGrace.
func (g *generations) settled(now time.Time) {
	for i := range g.old {
		if g.old[i].left.IsZero() {
			g.old[i].left = now
		}
	}
	g.old = slices.DeleteFunc(g.old, func(o oldPlan) bool { return now.Sub(o.left) > planGrace })
}

// with are a plan and all that are kept, the newest first.
func (g *generations) with(p *plan.Plan) []*plan.Plan {
	all := []*plan.Plan{p}
	for _, o := range slices.Backward(g.old) {
		all = append(all, o.plan)
	}
	return all
}
