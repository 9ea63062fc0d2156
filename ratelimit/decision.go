package ratelimit

import (
	"context"
	"time"

	"github.com/gatewright/gatewright/config"
)

// Decision is what the limits of a request say together. The zero value is a
// denial.
type Decision struct {
	// Allowed says that the request passes, and has been charged.
	Allowed bool
	// Limit names the limit that speaks: of a denial the one that denies for
	// longest, otherwise the one with the fewest tokens left. Empty when no
	// bucket was asked: there are no numbers to report then.
	Limit string
	// Capacity and Remaining are what that limit admits at once, and what is left
	// of it.
	Capacity, Remaining int64
	// RetryAfter is when the request will pass, unless somebody else takes before:
	// exact to the microsecond. Never when it costs more than the capacity; 0 when
	// allowed or Unavailable. Of a limit of concurrency it, and ResetAfter, are a
	// second at most: a request in flight may end at any time.
	RetryAfter time.Duration
	// ResetAfter is when that limit is as if nothing had been taken.
	ResetAfter time.Duration
	// Handles are what Release takes when the request has ended: one for each limit
	// of concurrency that was charged.
	Handles []string
	// Shadow names the limits in shadow that would deny the request.
	Shadow []string
	// StoreDown says that Redis did not answer: this was decided without it.
	StoreDown bool
	// Unavailable says that the request was denied not by a bucket but because
	// none could be asked: Redis is down and a limit has onStoreFailure: deny
	// (the metric store_denied says which). The answer is a 503, not a 429.
	Unavailable bool
}

// verdict is what one bucket says. One that was not asked, since its limit
// allows without the store, is not counted.
type verdict struct {
	Result
	counted bool
	here    bool // this process counts it, and not the shared store
}

// ask asks whoever decides, and the verdicts are those of the basket's items. Only
// an Unavailable decision has none.
func (l *Limiter) ask(ctx context.Context, b *basket) (Decision, []verdict) {
	switch {
	case l.shared == nil:
		return l.conclude(b, l.askLocal(ctx, b))
	case l.near.keeps(b):
		return l.askNear(ctx, b)
	}
	verdicts, down := l.askShared(ctx, b)
	return l.concludeShared(b, verdicts, down)
}

// concludeShared is conclude for the verdicts of askShared.
func (l *Limiter) concludeShared(b *basket, verdicts []verdict, down bool) (Decision, []verdict) {
	if verdicts == nil {
		return Decision{StoreDown: true, Unavailable: true}, nil
	}
	decision, verdicts := l.conclude(b, verdicts)
	decision.StoreDown = down
	return decision, verdicts
}

// askShared asks the shared store, and where that is down each limit does what it
// does then. There are no verdicts where one of them denies for it.
func (l *Limiter) askShared(ctx context.Context, b *basket) (verdicts []verdict, down bool) {
	return l.verdictsOf(ctx, b, l.shared.take(ctx, b.items))
}

// verdictsOf are what the shared store has made of a basket.
func (l *Limiter) verdictsOf(ctx context.Context, b *basket, t outcome) (verdicts []verdict, down bool) {
	if t.lost == nil {
		return asVerdicts(t.results), false
	}
	return l.without(ctx, b, t), true
}

// without decides of the items that the store has lost: each limit does what it
// does then. There are no verdicts where one denies for it.
func (l *Limiter) without(ctx context.Context, b *basket, t outcome) []verdict {
	verdicts := asVerdicts(t.results)
	var asked []int
	denied := t.denied()
	for i, limit := range b.limits {
		switch {
		case !t.lost[i]:
			continue
		case limit.OnStoreFailure == config.FailDeny:
			l.decided(limit, resultStoreDenied)
			if !denied {
				l.shared.refund(b.items, t)
			}
			return nil
		case limit.OnStoreFailure != config.FailAllow:
			asked = append(asked, i)
		}
		verdicts[i] = verdict{Result: Result{Allowed: true}}
	}
	if denied { // by what is known: nothing is charged any more
		return verdicts
	}
	if !l.askShare(ctx, b, asked, verdicts) {
		l.shared.refund(b.items, t)
	}
	return verdicts
}

// askShare asks this process' share of the items at some places, all or none of
// them, and says whether they allow.
func (l *Limiter) askShare(ctx context.Context, b *basket, at []int, verdicts []verdict) (allowed bool) {
	if len(at) == 0 {
		return true
	}
	items := make([]item, len(at))
	for i, j := range at {
		items[i] = b.items[j]
	}
	all, _ := l.answerPortion(ctx, []call{{op: opTake, items: items}}) // never fails
	results := all[0]
	allowed = true
	for i, j := range at {
		verdicts[j] = verdict{Result: results[i], counted: true, here: true}
		allowed = allowed && results[i].Allowed
	}
	return allowed
}

// askLocal asks this process' buckets, all or none of them.
func (l *Limiter) askLocal(ctx context.Context, b *basket) []verdict {
	results, _ := l.local.take(ctx, b.items) // never fails
	verdicts := asVerdicts(results)
	for i := range verdicts {
		verdicts[i].here = true
	}
	return verdicts
}

func asVerdicts(results []Result) []verdict {
	return appendVerdicts(make([]verdict, 0, len(results)), results)
}

func appendVerdicts(to []verdict, results []Result) []verdict {
	for _, r := range results {
		to = append(to, verdict{Result: r, counted: true})
	}
	return to
}

// conclude makes one decision of the verdicts, and counts it.
func (l *Limiter) conclude(b *basket, verdicts []verdict) (Decision, []verdict) {
	decision := Decision{Allowed: true}
	speaker := -1
	for i, v := range verdicts {
		decision.Allowed = decision.Allowed && v.Allowed
		if v.counted && (speaker < 0 || speaksBefore(v.Result, verdicts[speaker].Result)) {
			speaker = i
		}
	}
	l.count(b, verdicts, decision.Allowed)
	if speaker >= 0 {
		r := verdicts[speaker].Result
		decision.Limit = b.limits[speaker].Name
		decision.Capacity, decision.Remaining = b.items[speaker].most(), r.Remaining
		decision.RetryAfter, decision.ResetAfter = r.RetryAfter, r.ResetAfter
		if d, ok := b.items[speaker].Definition.(slidingLog); ok && d.flights {
			decision.RetryAfter, decision.ResetAfter = min(r.RetryAfter, time.Second), min(r.ResetAfter, time.Second)
		}
	}
	return decision, verdicts
}

// speaksBefore says whether a, rather than b, is what the caller is told: a
// denial before an admission, the longer denial, the fewer tokens.
func speaksBefore(a, b Result) bool {
	switch {
	case a.Allowed != b.Allowed:
		return !a.Allowed
	case a.Allowed:
		return a.Remaining < b.Remaining
	case b.RetryAfter == Never:
		return false
	}
	return a.RetryAfter == Never || a.RetryAfter > b.RetryAfter
}

// count counts an admission for each limit, and a denial for those that deny.
func (l *Limiter) count(b *basket, verdicts []verdict, allowed bool) {
	for i, v := range verdicts {
		switch {
		case b.limits[i].InShadow() && !v.Allowed:
			b.known[i].count(l.metrics, b.limits[i], resultShadowDenied)
		case b.limits[i].InShadow() && v.counted:
			b.known[i].count(l.metrics, b.limits[i], resultShadowAllowed)
		case !v.Allowed:
			b.known[i].count(l.metrics, b.limits[i], resultDenied)
		case allowed && v.counted:
			b.known[i].count(l.metrics, b.limits[i], resultAllowed)
		case allowed:
			b.known[i].count(l.metrics, b.limits[i], resultStoreAllowed)
		}
	}
}
