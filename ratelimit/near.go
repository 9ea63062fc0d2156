package ratelimit

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/span"
)

// closeTimeout bounds how long the last reports to the store take.
const closeTimeout = time.Second

// claim is what is known of one item without asking the store. The zero claim
// says that the store is to decide.
type claim struct {
	keeper keeper // nil: the store decides each request of the limit
	// known says that the item is decided: reserved where Result.Allowed, until it
	// is concluded, and denied otherwise.
	known bool
	Result
	share *share // what is reserved of it, in a term
	term  uint32
	view  *view // or where it is
	// wait is closed when the item may be claimed again: nothing was reserved, and the
	// store is not to be asked for it before.
	wait <-chan struct{}
}

// keeper keeps what one consistency lets this process decide itself.
type keeper interface {
	// claim reserves an item or denies it, or else says that the store is to decide.
	claim(ctx context.Context, it item) claim
	// conclude ends a reservation: it is spent, or given back.
	conclude(it item, c claim, spent bool)
	// told takes in what the store said of an item that it was to decide, and whether
	// that was charged; nil where it was not asked after all, or nobody knows what it
	// says. It comes after each claim which says that the store is to decide.
	told(it item, c claim, said *Result, charged bool)
}

// near is what this process may decide of limits that all instances share.
type near struct {
	leases *leases
	views  *views

	stop    context.CancelFunc
	running sync.WaitGroup
}

// newNear starts the goroutines that report to the store; close ends them.
func newNear(store *shared) *near {
	ctx, stop := context.WithCancel(context.Background())
	start := time.Now()
	now := func() int64 { return time.Since(start).Microseconds() }
	n := &near{leases: newLeases(store, store, now, defaultMaxShares), views: newViews(store, now), stop: stop}
	n.running.Go(func() { n.leases.run(ctx) })
	n.running.Go(func() { n.views.run(ctx) })
	return n
}

// close gives the store back what it can be given, and tells it the rest.
func (n *near) close() {
	n.stop()
	n.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	n.leases.close(ctx)
	n.views.close(ctx)
}

// of is the keeper of a limit; nil where the store decides each request.
func (n *near) of(l *config.Limit) keeper {
	switch {
	case l.SlidingLog != nil || l.Concurrency != nil: // config.Load refuses another consistency
		return nil
	case l.Consistency == config.Lease:
		return n.leases
	case l.Consistency == config.Sync:
		return n.views
	}
	return nil
}

// keeps says whether some limit of the basket may be decided near.
func (n *near) keeps(b *basket) bool {
	return slices.ContainsFunc(b.limits, func(l *config.Limit) bool { return n.of(l) != nil })
}

// askNear decides without the store where it can. What is here is reserved first;
// only if none of that denies is the store asked for the rest, all in one call. And
// what was reserved is given back if the store denies.
func (l *Limiter) askNear(ctx context.Context, b *basket) (Decision, []verdict) {
	if len(b.items) == 1 {
		return l.askNearOne(ctx, b)
	}
	claims, over, ok := l.claims(ctx, b)
	if !ok {
		return l.concludeShared(b, l.without(ctx, b, unknown(b)), true)
	}
	rest, denied := undecided(claims)
	verdicts, down := make([]verdict, len(b.items)), false
	if len(rest) > 0 && !denied {
		var said []verdict
		said, down = l.askSharedUntil(ctx, b.only(rest), over)
		tell(b, claims, rest, said, down)
		if said == nil {
			l.settle(b, claims, false)
			return l.concludeShared(b, nil, down)
		}
		denied = slices.ContainsFunc(said, func(v verdict) bool { return !v.Allowed })
		for i, at := range rest {
			verdicts[at] = said[i]
		}
	} else {
		tell(b, claims, rest, nil, false)
		for _, at := range rest {
			verdicts[at].Allowed = true // nobody was asked
		}
	}
	for i, c := range claims {
		if c.known {
			verdicts[i] = verdict{Result: c.Result, counted: true}
		}
	}
	l.settle(b, claims, !denied)
	return l.concludeShared(b, verdicts, down)
}

// askNearOne is askNear for a request with one limit.
func (l *Limiter) askNearOne(ctx context.Context, b *basket) (Decision, []verdict) {
	keeper, it := l.near.of(b.limits[0]), b.items[0]
	c := keeper.claim(ctx, it)
	over := (<-chan time.Time)(nil)
	for ; c.wait != nil; c = keeper.claim(ctx, it) {
		if over = l.await(ctx, c.wait, over); over == nil {
			return l.concludeShared(b, l.without(ctx, b, unknown(b)), true)
		}
	}
	l.metrics.askedNear(b.limits[0], c.known)
	if c.known {
		if c.Allowed {
			keeper.conclude(it, c, true)
		}
		return l.concludeShared(b, []verdict{{Result: c.Result, counted: true}}, false)
	}
	said, down := l.askSharedUntil(ctx, b, over)
	if said != nil && !down {
		keeper.told(it, c, &said[0].Result, said[0].Allowed)
	} else {
		keeper.told(it, c, nil, false)
	}
	return l.concludeShared(b, said, down)
}

// claims is what is known of each item: nothing is waited for any more. While it
// waits, it keeps nobody waiting. It is not ok when that took as long as a request
// may wait for the store; over is when that will be, where it waited.
func (l *Limiter) claims(ctx context.Context, b *basket) (claims []claim, over <-chan time.Time, ok bool) {
	claims = make([]claim, len(b.items))
	for {
		wait := l.claimEach(ctx, b, claims)
		if wait == nil {
			break
		}
		l.settle(b, claims, false)
		for i, c := range claims {
			if c.keeper != nil && !c.known && c.wait == nil {
				c.keeper.told(b.items[i], c, nil, false)
			}
		}
		if over = l.await(ctx, wait, over); over == nil {
			return nil, nil, false
		}
	}
	for i, c := range claims {
		if c.keeper != nil {
			l.metrics.askedNear(b.limits[i], c.known)
		}
	}
	return claims, over, true
}

// askSharedUntil is askShared for a request that has waited for the store already,
// and waits no longer than until over. What comes after it is charged all the same,
// as by any call that took too long: too strict by a request, and never too loose. A
// request that has not waited has no over.
func (l *Limiter) askSharedUntil(ctx context.Context, b *basket, over <-chan time.Time) (verdicts []verdict, down bool) {
	if over == nil {
		return l.askShared(ctx, b)
	}
	taken := make(chan outcome, 1)
	l.shared.returning.Go(func() { taken <- l.shared.take(context.Background(), b.items) })
	select {
	case t := <-taken:
		return l.verdictsOf(ctx, b, t)
	case <-over:
		return l.without(ctx, b, unknown(b)), true
	}
}

// claimEach claims items, up to one that has to be waited for.
func (l *Limiter) claimEach(ctx context.Context, b *basket, claims []claim) (wait <-chan struct{}) {
	clear(claims)
	for i, it := range b.items {
		if keeper := l.near.of(b.limits[i]); keeper != nil {
			claims[i] = keeper.claim(ctx, it)
			claims[i].keeper = keeper
			if claims[i].wait != nil {
				return claims[i].wait
			}
		}
	}
	return nil
}

// await waits, until over at most: the end of the time that a request may wait for
// the store, which begins with the first wait. It returns that, nil when it is over.
func (l *Limiter) await(ctx context.Context, wait <-chan struct{}, over <-chan time.Time) <-chan time.Time {
	inline.Blocks(ctx)
	waiting := span.Begin(ctx, span.Redis)
	if over == nil {
		over = time.After(l.shared.timeout)
	}
	select {
	case <-wait:
		waiting.End(false)
		return over
	case <-over:
		waiting.End(true)
		return nil
	}
}

// unknown is that nothing is known of any item.
func unknown(b *basket) outcome {
	return outcome{results: make([]Result, len(b.items)), lost: allTrue(len(b.items))}
}

// undecided are the places of the items that the store has to decide, and whether
// another one is denied already.
func undecided(claims []claim) (rest []int, denied bool) {
	for i, c := range claims {
		switch {
		case !c.known:
			rest = append(rest, i)
		case !c.Allowed:
			denied = true
		}
	}
	return rest, denied
}

// tell hands on what the store said of the items at some places: nothing where it was
// not asked, and nothing that is sure where it is down.
func tell(b *basket, claims []claim, rest []int, said []verdict, down bool) {
	charged := !slices.ContainsFunc(said, func(v verdict) bool { return !v.Allowed })
	for i, at := range rest {
		keeper := claims[at].keeper
		switch {
		case keeper == nil:
		case said == nil || down:
			keeper.told(b.items[at], claims[at], nil, false)
		default:
			keeper.told(b.items[at], claims[at], &said[i].Result, charged)
		}
	}
}

// settle ends what was reserved.
func (l *Limiter) settle(b *basket, claims []claim, spent bool) {
	for i, c := range claims {
		if c.known && c.Allowed {
			c.keeper.conclude(b.items[i], c, spent)
		}
	}
}

// only is the basket of the items at some places.
func (b *basket) only(places []int) *basket {
	part := &basket{}
	for _, at := range places {
		part.items = append(part.items, b.items[at])
		part.limits = append(part.limits, b.limits[at])
		part.known = append(part.known, b.known[at])
	}
	return part
}
