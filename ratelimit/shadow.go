package ratelimit

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/span"
)

// shadowed are the charges of limits in shadow, and where they stand among all.
func shadowed(charges []Charge) (at []int) {
	for i, c := range charges {
		if c.Limit != nil && c.Limit.InShadow() {
			at = append(at, i)
		}
	}
	return at
}

// decideBeside decides on charges of which some are of limits in shadow. Each of
// those is charged by itself, and the others together; all of them in the same call
// of Redis, if it is asked. A shadow neither denies nor keeps others from being
// charged, and its verdict allows.
func (l *Limiter) decideBeside(ctx context.Context, charges []Charge, at []int) (Decision, []verdict) {
	var enforced []Charge
	for i, c := range charges {
		if !slices.Contains(at, i) {
			enforced = append(enforced, c)
		}
	}
	groups := [][]Charge{enforced}
	for _, j := range at {
		groups = append(groups, charges[j:j+1])
	}
	all := l.decideEach(ctx, groups)
	decision, verdicts := all[0].decision, all[0].verdicts
	for i, j := range at {
		name, told := charges[j].Limit.Name, all[1+i].decision
		decision.Handles = append(decision.Handles, told.Handles...)
		l.shadows.of(name).add(told.Allowed)
		if !told.Allowed {
			decision.Shadow = append(decision.Shadow, name)
		}
	}
	if decision.Unavailable {
		return decision, nil
	}
	each := make([]verdict, 0, len(charges))
	for i := range charges {
		shadow := slices.Index(at, i)
		switch {
		case shadow < 0:
			each, verdicts = append(each, verdicts[0]), verdicts[1:]
		case len(all[1+shadow].verdicts) == 0: // nobody could be asked
			each = append(each, verdict{Result: Result{Allowed: true}})
		default:
			v := all[1+shadow].verdicts[0]
			v.Allowed = true
			each = append(each, v)
		}
	}
	return decision, each
}

// decided is what is decided of charges, with the verdict of each.
type decided struct {
	decision Decision
	verdicts []verdict
}

// decideEach is decideTogether for groups of charges, at the same time: what Redis
// decides is one call.
func (l *Limiter) decideEach(ctx context.Context, groups [][]Charge) []decided {
	all := make([]decided, len(groups))
	baskets := make([]*basket, len(groups))
	asked := l.denials.now()
	var together []int
	var near sync.WaitGroup
	for i, charges := range groups {
		if len(charges) == 0 {
			all[i].decision.Allowed = true
			continue
		}
		b, err := l.basket(charges)
		if err != nil {
			all[i].decision.Unavailable = true
			continue
		}
		baskets[i] = b
		switch {
		case l.shared == nil:
			all[i].decision, all[i].verdicts = l.ask(ctx, b)
		case l.near.keeps(b): // it may have to ask
			inline.Blocks(ctx)
			near.Go(func() { all[i].decision, all[i].verdicts = l.ask(ctx, b) })
		default:
			together = append(together, i)
		}
	}
	l.askEach(ctx, baskets, together, all)
	near.Wait()
	for i, b := range baskets {
		if b != nil {
			all[i].decision, all[i].verdicts = l.conclusion(b, asked, all[i].decision, all[i].verdicts)
		}
	}
	return all
}

// askEach asks the shared store for the baskets at some places.
func (l *Limiter) askEach(ctx context.Context, baskets []*basket, at []int, all []decided) {
	if len(at) == 0 {
		return
	}
	requests := make([][]item, len(at))
	for k, i := range at {
		requests[k] = baskets[i].items
	}
	for k, t := range l.shared.takeEach(ctx, requests) {
		i := at[k]
		verdicts, down := l.verdictsOf(ctx, baskets[i], t)
		all[i].decision, all[i].verdicts = l.concludeShared(baskets[i], verdicts, down)
	}
}

// takeEach is take for requests by themselves, in one round trip.
func (s *shared) takeEach(ctx context.Context, requests [][]item) []outcome {
	inline.Blocks(ctx)
	parts := make([][]part, len(requests))
	var calls []call
	for i, items := range requests {
		parts[i] = s.allParts(items)
		calls = append(calls, takes(parts[i])...)
	}
	waiting := span.Begin(ctx, span.Redis)
	replies := s.askAll(calls)
	waiting.End(firstError(replies) != nil)
	outcomes := make([]outcome, len(requests))
	for i, items := range requests {
		n := len(parts[i])
		outcomes[i] = s.outcomeOf(items, parts[i], calls[:n], replies[:n])
		calls, replies = calls[n:], replies[n:]
	}
	return outcomes
}

// ShadowStatus is what a limit in shadow has made of requests since the process
// started.
type ShadowStatus struct {
	Limit string `json:"limit"`
	// Charged is how many were asked for, and WouldDeny how many of them would have
	// been denied.
	Charged   uint64 `json:"charged"`
	WouldDeny uint64 `json:"wouldDeny"`
}

// shadows count what limits in shadow say. There are as many as limits in configs.
type shadows struct{ byLimit sync.Map } // of *shadowCount, by name

type shadowCount struct{ charged, denied atomic.Uint64 }

func (s *shadows) of(limit string) *shadowCount {
	if known, ok := s.byLimit.Load(limit); ok {
		return known.(*shadowCount)
	}
	known, _ := s.byLimit.LoadOrStore(strings.Clone(limit), &shadowCount{})
	return known.(*shadowCount)
}

func (c *shadowCount) add(allowed bool) {
	c.charged.Add(1)
	if !allowed {
		c.denied.Add(1)
	}
}

// ShadowStatus is what each limit in shadow has made of requests, by their names.
func (l *Limiter) ShadowStatus() []ShadowStatus {
	all := []ShadowStatus{}
	l.shadows.byLimit.Range(func(name, count any) bool {
		c := count.(*shadowCount)
		all = append(all, ShadowStatus{Limit: name.(string), Charged: c.charged.Load(), WouldDeny: c.denied.Load()})
		return true
	})
	slices.SortFunc(all, func(a, b ShadowStatus) int { return cmp.Compare(a.Limit, b.Limit) })
	return all
}
