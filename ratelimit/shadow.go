package ratelimit

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// The results that limits in shadow are counted by, which deny nobody.
const (
	resultShadowAllowed = "shadow_allowed"
	resultShadowDenied  = "shadow_denied"
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
// those is charged as a request of its own, at the same time as the others together,
// so that they go to Redis with them; it neither denies nor keeps others from being
// charged, and its verdict allows.
func (l *Limiter) decideBeside(ctx context.Context, charges []Charge, at []int) (Decision, []verdict) {
	told := make([]Decision, len(at))
	said := make([][]verdict, len(at))
	var asking sync.WaitGroup
	for i, j := range at {
		asking.Go(func() { told[i], said[i] = l.decideTogether(ctx, charges[j:j+1]) })
	}
	var enforced []Charge
	for i, c := range charges {
		if !slices.Contains(at, i) {
			enforced = append(enforced, c)
		}
	}
	decision, verdicts := l.decideTogether(ctx, enforced)
	asking.Wait()
	for i, j := range at {
		name := charges[j].Limit.Name
		decision.Handles = append(decision.Handles, told[i].Handles...)
		l.shadows.of(name).add(told[i].Allowed)
		if !told[i].Allowed {
			decision.Shadow = append(decision.Shadow, name)
		}
	}
	if decision.Unavailable {
		return decision, nil
	}
	all := make([]verdict, 0, len(charges))
	for i := range charges {
		shadow := slices.Index(at, i)
		switch {
		case shadow < 0:
			all, verdicts = append(all, verdicts[0]), verdicts[1:]
		case len(said[shadow]) == 0: // nobody could be asked
			all = append(all, verdict{Result: Result{Allowed: true}})
		default:
			v := said[shadow][0]
			v.Allowed = true
			all = append(all, v)
		}
	}
	return decision, all
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
