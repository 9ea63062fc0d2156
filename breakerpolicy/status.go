package breakerpolicy

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Status is how a breaker stands.
type Status struct {
	// Name is the breaker's, Backend what it is in front of, and Route the only
	// route that it is for; empty: all.
	Name    string `json:"name"`
	Backend string `json:"backend"`
	Route   string `json:"route,omitempty"`
	// State is the one that it is in, and Forced what an operator has set: auto,
	// open or closed.
	State  State  `json:"state"`
	Forced Force  `json:"forced"`
	Mode   string `json:"mode"`
	// Shared: it is that of all instances, by Redis. Otherwise of this one.
	Shared bool `json:"shared"`
	// Generation is the number of its last change, and Since when that was. Nil:
	// there was none.
	Generation int64      `json:"generation"`
	Since      *time.Time `json:"since,omitempty"`
	// Requests and Failed are those in the window of a closed breaker; of the
	// others, those that opened it.
	Requests int64 `json:"requests"`
	Failed   int64 `json:"failed"`
	// RetryAfterSeconds is how long until an open one is probed, and Openings how
	// often it has opened since it was last closed.
	RetryAfterSeconds float64 `json:"retryAfterSeconds,omitempty"`
	Openings          int64   `json:"openings,omitempty"`
	// Probes is how many probes in a row have succeeded of those that it takes, and
	// ProbeOut whether one is out or held.
	Probes   int64 `json:"probes,omitempty"`
	ProbeOut bool  `json:"probeOut,omitempty"`
	// PassingPercent is how many of a hundred requests pass a closed one that
	// reopens gradually. 0: all.
	PassingPercent int64 `json:"passingPercent,omitempty"`
}

func (c *cell) status(now int64) Status {
	v, l := c.view.Load(), c.law.Load()
	s := Status{
		Name: c.name, Backend: l.Backend, Route: l.Route,
		State: v.State, Forced: v.Forced, Mode: l.mode(), Shared: v.shared, Generation: v.Gen,
		Requests: v.now.Total, Failed: v.now.Failed,
		Openings: v.Trips, Probes: v.Streak, ProbeOut: v.State == StateHalfOpen && v.Probe != "",
	}
	if s.Forced == "" {
		s.Forced = Auto
	}
	if v.Gen > 0 {
		at := time.Now().Add(-time.Duration(now-v.since) * time.Millisecond).UTC().Truncate(time.Millisecond)
		s.Since = &at
	}
	if v.State != StateClosed {
		s.Requests, s.Failed = v.Tripped.Total, v.Tripped.Failed
	}
	if v.State == StateOpen && v.Forced == "" {
		s.RetryAfterSeconds = float64(max(v.until-now, 0)) / 1000
	}
	if share := v.share(now, l.ramp); v.State == StateClosed && share < whole {
		s.PassingPercent = share * 100 / whole
	}
	return s
}

// List tells how all breakers stand, by name. It asks Redis first, where that
// answers.
func (b *Breakers) List() []Status {
	all := b.table.Load().all
	b.refresh(all)
	out := make([]Status, len(all))
	now := b.now()
	for i, c := range all {
		out[i] = c.status(now)
	}
	return out
}

// refresh reports on breakers, so that they are seen as they are now.
func (b *Breakers) refresh(cells []*cell) {
	for some := range slices.Chunk(cells, mostInFlight) {
		var shared []*cell
		for _, c := range some {
			c.flight.Lock()
			if _, alone := c.isAlone(); alone {
				b.tellLocal(c, toStore)
				c.flight.Unlock()
				continue
			}
			shared = append(shared, c)
		}
		if len(shared) > 0 {
			b.fly(shared)
		}
	}
}

// Status tells how one breaker stands. The error is ErrUnknown.
func (b *Breakers) Status(name string) (Status, error) {
	c, err := b.inForce(name)
	if err != nil {
		return Status{}, err
	}
	b.refresh([]*cell{c})
	return c.status(b.now()), nil
}

// Force keeps a breaker open or closed, or has it open and close by itself again
// (Auto), on all instances that share it, and tells how it stands then. Status.Shared
// false: Redis does not answer, and only this instance knows. The error is ErrUnknown,
// a Force that there is not, or that the context has ended.
func (b *Breakers) Force(ctx context.Context, name string, f Force) (Status, error) {
	if f != Auto && f != ForceOpen && f != ForceClosed {
		return Status{}, fmt.Errorf("forcing breaker %q: %q, must be %s, %s or %s", name, f, ForceOpen, ForceClosed, Auto)
	}
	c, err := b.inForce(name)
	if err != nil {
		return Status{}, err
	}
	if err := ctx.Err(); err != nil {
		return Status{}, fmt.Errorf("forcing breaker %q: %w", name, err)
	}
	c.flight.Lock()
	defer c.flight.Unlock()
	if _, alone := c.isAlone(); !alone {
		err := b.forceShared(ctx, c, f)
		if err == nil {
			return c.status(b.now()), nil
		}
		b.lost(c, err)
	}
	r := b.reportOn(c, toStore)
	r.Force = f
	sent := b.now()
	a := b.local.exchange(ctx, b.by, []ask{{c.name, r}})[0]
	b.took(c, r, &a.reply, sent, false)
	return c.status(b.now()), nil
}

func (b *Breakers) forceShared(ctx context.Context, c *cell, f Force) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.timeout)
	defer cancel()
	r := b.reportOn(c, toStore)
	r.Force = f
	sent := b.now()
	a := b.redis.exchange(ctx, b.by, []ask{{c.name, r}})[0]
	if a.err != nil {
		return a.err
	}
	b.took(c, r, &a.reply, sent, true)
	return nil
}
