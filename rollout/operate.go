package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ErrNotFound is a route without a rollout.
var ErrNotFound = errors.New("no rollout")

// ErrStore is a Redis that does not answer: nothing was done.
var ErrStore = errors.New("the Redis of rollouts does not answer")

// conflicts is how often an action is tried against other instances that change the
// same rollout.
const conflicts = 100

// Do does what an operator asks for; by says who, and perhaps why. Errors are
// ErrNotFound, ErrConflict and ErrStore, wrapped.
func (c *Controller) Do(ctx context.Context, route string, a Action, by string) (Status, error) {
	if !slices.Contains(Actions(), a) {
		return Status{}, fmt.Errorf("%w: there is no action %q", ErrConflict, a)
	}
	if err := c.take(ctx); err != nil {
		return Status{}, err
	}
	defer func() { <-c.turn }()
	for range conflicts {
		done, err := c.try(ctx, route, a, by)
		if err != nil {
			return Status{}, err
		}
		if done {
			c.save(false)
			return c.status(route), nil
		}
	}
	return Status{}, fmt.Errorf("%w: other instances change rollout %s all the time", ErrConflict, route)
}

// try is one attempt; false is that another instance was first.
func (c *Controller) try(ctx context.Context, route string, a Action, by string) (bool, error) {
	c.mu.Lock()
	_, there := c.specs[route]
	known := c.known[route]
	c.mu.Unlock()
	if !there {
		return false, fmt.Errorf("%w of a route %q", ErrNotFound, route)
	}
	views, err := c.store.exchange(ctx, []report{{route: route, known: known.Generation, curious: true}})
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrStore, err)
	}
	if v := views[0]; v.record != nil && v.generation > known.Generation {
		known = *v.record
	}
	if known.Generation == 0 {
		return false, fmt.Errorf("%w: rollout %s has not begun yet", ErrConflict, route)
	}
	next := record{Generation: known.after(views[0].now), Counted: views[0].total}
	if next.State, err = Act(known.State, a, views[0].now, by); err != nil {
		return false, fmt.Errorf("rollout %s: %w", route, err)
	}
	ch := change{route: route, of: known.Generation, next: next}
	done, err := c.store.commit(ctx, []change{ch})
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrStore, err)
	}
	if done[0] {
		c.committed(ch)
	}
	return done[0], nil
}

// Status is where a rollout is, for people and programs.
type Status struct {
	Route   string `json:"route"`
	Backend string `json:"backend"`
	Dark    bool   `json:"dark,omitempty"`
	Release string `json:"release,omitempty"`
	// Phase is one of the phases, or "unknown" while the state could not be read yet:
	// then the canary gets nothing.
	Phase Phase `json:"phase"`
	// Percent is what the canary gets now.
	Percent int `json:"percent"`
	// Step of Steps it is at, counted from 1.
	Step  int   `json:"step"`
	Steps []int `json:"steps"`
	// InStep is how long it has been in its step, of Every, in seconds.
	InStep float64 `json:"inStepSeconds"`
	Every  float64 `json:"everySeconds"`
	// Why is the last decision in words; Waits what it waits for.
	Why   string `json:"why"`
	Waits string `json:"waits,omitempty"`
	// Canary and Stable are what both sides did in the step.
	Canary SideStatus `json:"canary"`
	Stable SideStatus `json:"stable"`
	// Scores are the evidence against the canary: how many times what was bet against
	// it has grown.
	Scores map[string]float64 `json:"scores"`
	// Decisions are the last ones, the newest last.
	Decisions []Event `json:"decisions"`
}

// SideStatus is what one side did.
type SideStatus struct {
	Requests  uint64  `json:"requests"`
	Failed    uint64  `json:"failed"`
	ErrorRate float64 `json:"errorRate"`
	P99       float64 `json:"p99Seconds"`
}

// Unknown is the Status.Phase of a rollout whose state is not known.
const Unknown Phase = "unknown"

// Status are all rollouts, by route.
func (c *Controller) Status() []Status {
	c.mu.Lock()
	routes := slices.Sorted(maps.Keys(c.specs))
	c.mu.Unlock()
	out := []Status{}
	for _, route := range routes {
		out = append(out, c.status(route))
	}
	return out
}

func (c *Controller) status(route string) Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.state(route)
	if !ok {
		spec := c.specs[route]
		return Status{Route: route, Backend: spec.Backend, Dark: spec.Dark, Release: spec.Release, Phase: Unknown, Steps: spec.Steps,
			Why: "its state could not be read yet", Scores: map[string]float64{}, Decisions: []Event{}}
	}
	return s.status()
}

func (s State) status() Status {
	return Status{
		Route: s.Spec.Route, Backend: s.Spec.Backend, Dark: s.Spec.Dark, Release: s.Spec.Release,
		Phase: s.Phase, Percent: s.Share, Step: s.Step + 1, Steps: s.Spec.Steps,
		InStep: s.Elapsed.Seconds(), Every: s.Spec.Every.Seconds(),
		Why: s.last().Why, Waits: s.Waits, Canary: s.Seen.Canary.status(), Stable: s.Seen.Stable.status(),
		Scores: map[string]float64{
			"errorRate": s.OverErrorRate.Score(), "p99": s.OverP99.Score(), "moreErrors": s.Errors.AtAll.Score(), "slower": s.Slowness.AtAll.Score(),
		},
		Decisions: s.History,
	}
}

func (c *Counts) status() SideStatus {
	return SideStatus{Requests: c.Requests, Failed: c.Failed, ErrorRate: c.ErrorRate(), P99: c.Latency.Quantile(p99).Seconds()}
}

// String is what it did, in words.
func (s SideStatus) String() string {
	return fmt.Sprintf("%d requests, %s failed, p99 %s", s.Requests, percent(s.ErrorRate), round(time.Duration(s.P99*float64(time.Second))))
}
