package config

import (
	"fmt"
	"math"
	"time"
)

const (
	maxRolloutSteps    = 100
	leastRolloutEvery  = time.Second
	maxRolloutEvery    = 7 * 24 * time.Hour
	maxRolloutRequests = 1_000_000
	maxTolerance       = 1000
	// maxStableWeights bounds the weights beside a canary, which are multiplied by
	// its percentages.
	maxStableWeights = math.MaxUint32 / 100
)

func (c *checker) rollout(at *place, r *Route) {
	o := r.Rollout
	c.rolloutBackend(at.key("backend"), r)
	c.rolloutSteps(at.key("steps"), o.Steps)
	c.must(o.Every == 0 || o.Every >= Duration(leastRolloutEvery), at.key("every"), "must be at least "+Duration(leastRolloutEvery).String())
	c.must(o.Every != 0, at.key("every"), "must be > 0")
	c.atMost(at.key("every"), o.Every, maxRolloutEvery)
	c.atMost(at.key("backEvery"), o.BackEvery, maxRolloutEvery)
	if o.AbortWhen != nil {
		c.abortWhen(at.key("abortWhen"), o.AbortWhen)
	}
}

// rolloutBackend holds a canary to be one side of its route, beside others that get
// what it does not.
func (c *checker) rolloutBackend(at *place, r *Route) {
	known, stable, isSide := map[string]bool{}, int64(0), false
	for _, d := range r.To {
		known[d.Backend] = true
		switch {
		case d.Backend == r.Rollout.Backend:
			isSide = true
		case d.Weight != nil:
			stable += int64(*d.Weight)
		default:
			stable++
		}
	}
	for _, m := range r.AllMirrors() {
		known[m.Backend] = true
	}
	if !known[r.Rollout.Backend] {
		c.obey(at, "must be a backend of the route, in to or a mirror"+c.report.suggestion("; ", r.Rollout.Backend, sorted(known)))
		return
	}
	c.must(!isSide || stable > 0, at, "must stand beside another backend of the route with a weight above 0, which gets what the canary does not")
	c.must(stable <= maxStableWeights, at, fmt.Sprintf("must stand beside weights of at most %d together", int64(maxStableWeights)))
}

func (c *checker) rolloutSteps(at *place, steps []int) {
	c.must(len(steps) <= maxRolloutSteps, at, fmt.Sprintf("must be at most %d steps", maxRolloutSteps))
	for i, step := range steps {
		c.between(at.index(i), 1, int64(step), 100)
		c.must(i == 0 || step > steps[i-1], at.index(i), "must be above the step before it")
	}
}

func (c *checker) abortWhen(at *place, a *AbortWhen) {
	c.must(a.ErrorRate >= 0 && a.ErrorRate < 1, at.key("errorRate"), "must be from 0 to less than 1: 0.02 is 2 %")
	c.atMost(at.key("p99"), a.P99, maxDuration)
	c.between(at.key("minRequests"), 0, int64(a.MinRequests), maxRolloutRequests)
	if t := a.Tolerance; t != nil {
		at := at.key("tolerance")
		c.tolerance(at.key("errors"), t.Errors)
		c.tolerance(at.key("latency"), t.Latency)
	}
}

func (c *checker) tolerance(at *place, times float64) {
	c.must(times == 0 || times >= 1 && times <= maxTolerance, at, fmt.Sprintf("must be from 1 to %d: 1.5 is half as much again as the others'", maxTolerance))
}
