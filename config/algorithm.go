package config

import "fmt"

// The most that a limit may count. A log, and requests in flight, are remembered
// one by one.
const (
	maxCount   = maxExact
	maxLog     = 10_000
	maxFlights = 100_000
)

// Own is what the limit is for everybody who is in no plan: its algorithm.
func (l *Limit) Own() LimitPlan {
	return LimitPlan{
		TokenBucket: l.TokenBucket, SlidingWindow: l.SlidingWindow, SlidingLog: l.SlidingLog,
		FixedWindow: l.FixedWindow, Quota: l.Quota, Concurrency: l.Concurrency,
	}
}

// For is what the limit is for a caller. Numbers that do not fit the limit's
// algorithm, as those that were agreed on when it had another, are as none.
func (l *Limit) For(a Allowance) LimitPlan {
	own := l.Own()
	if a == (Allowance{}) { // most callers, at each of their requests
		return own
	}
	if own.Takes(a.Own) == nil {
		return own.with(a.Own)
	}
	if p := l.Plans[a.Plan]; p != nil {
		return *p
	}
	return own
}

// Takes returns nil where numbers can take the place of the algorithm's own, and
// otherwise an error that says what they must be.
func (p LimitPlan) Takes(n Numbers) error {
	name, most := p.Algorithm(), p.most()
	switch {
	case p.TokenBucket != nil && !n.HasBucket():
		return fmt.Errorf("must be a capacity and a refill, as 500,100/s, for a %s", name)
	case p.TokenBucket != nil:
		return nil
	case n.HasBucket():
		return fmt.Errorf("must be a number, as 1000, for a %s", name)
	case n.Count < 1 || n.Count > most:
		return fmt.Errorf("must be a number from 1 to %d for a %s", most, name)
	}
	return nil
}

// with is p with numbers that it takes.
func (p LimitPlan) with(n Numbers) LimitPlan {
	switch {
	case p.TokenBucket != nil:
		return LimitPlan{TokenBucket: &n.Bucket}
	case p.SlidingWindow != nil:
		return LimitPlan{SlidingWindow: &SlidingWindow{n.Count, p.SlidingWindow.Window}}
	case p.SlidingLog != nil:
		return LimitPlan{SlidingLog: &SlidingWindow{n.Count, p.SlidingLog.Window}}
	case p.FixedWindow != nil:
		return LimitPlan{FixedWindow: &SlidingWindow{n.Count, p.FixedWindow.Window}}
	case p.Quota != nil:
		return LimitPlan{Quota: &Quota{n.Count, p.Quota.Per, p.Quota.TimeZone}}
	case p.Concurrency != nil:
		return LimitPlan{Concurrency: &Concurrency{n.Count, p.Concurrency.Lease}}
	}
	return p
}

// most is the largest count that the algorithm takes.
func (p LimitPlan) most() int64 {
	switch {
	case p.SlidingLog != nil:
		return maxLog
	case p.Concurrency != nil:
		return maxFlights
	}
	return maxCount
}

// Algorithm is the algorithm's name in the language; empty where there is none.
func (p LimitPlan) Algorithm() string {
	if names := p.algorithms(); len(names) > 0 {
		return names[0]
	}
	return ""
}

// algorithms are the names of all that are there: after Load it is one.
func (p LimitPlan) algorithms() []string {
	var names []string
	for _, a := range []struct {
		there bool
		name  string
	}{
		{p.TokenBucket != nil, "tokenBucket"},
		{p.SlidingWindow != nil, "slidingWindow"},
		{p.SlidingLog != nil, "slidingLog"},
		{p.FixedWindow != nil, "fixedWindow"},
		{p.Quota != nil, "quota"},
		{p.Concurrency != nil, "concurrency"},
	} {
		if a.there {
			names = append(names, a.name)
		}
	}
	return names
}
