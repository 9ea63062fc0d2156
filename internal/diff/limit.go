package diff

import "github.com/gatewright/gatewright/config"

// tighterForAll tells whether a limit admits no more of anybody than another does,
// in whatever plan.
func tighterForAll(l, old *config.Limit) bool {
	plans := map[string]bool{"": true}
	for name := range l.Plans {
		plans[name] = true
	}
	for name := range old.Plans {
		plans[name] = true
	}
	for name := range plans {
		a := config.Allowance{Plan: name}
		if !admitsNoMore(l.For(a), old.For(a)) {
			return false
		}
	}
	return true
}

// admitsNoMore tells whether an algorithm admits no more than another of its kind.
// Those of two kinds are not compared.
func admitsNoMore(a, b config.LimitPlan) bool {
	switch {
	case a.Algorithm() != b.Algorithm():
		return false
	case a.TokenBucket != nil:
		// Events over time, by cross-multiplication of what fits 64 bits as float.
		a, b := a.TokenBucket, b.TokenBucket
		return a.Capacity <= b.Capacity &&
			float64(a.Refill.Events)*float64(b.Refill.Per) <= float64(b.Refill.Events)*float64(a.Refill.Per)
	case a.SlidingWindow != nil:
		return a.SlidingWindow.Limit <= b.SlidingWindow.Limit && a.SlidingWindow.Window == b.SlidingWindow.Window
	case a.SlidingLog != nil: // no more in a longer time
		return a.SlidingLog.Limit <= b.SlidingLog.Limit && a.SlidingLog.Window >= b.SlidingLog.Window
	case a.FixedWindow != nil:
		return a.FixedWindow.Limit <= b.FixedWindow.Limit && a.FixedWindow.Window == b.FixedWindow.Window
	case a.Quota != nil:
		return a.Quota.Limit <= b.Quota.Limit && a.Quota.Per == b.Quota.Per && a.Quota.TimeZone == b.Quota.TimeZone
	case a.Concurrency != nil:
		return a.Concurrency.Max <= b.Concurrency.Max && a.Concurrency.Lease.Or(defaultLease) >= b.Concurrency.Lease.Or(defaultLease)
	}
	return false
}
