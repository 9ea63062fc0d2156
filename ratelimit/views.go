package ratelimit

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/span"
)

const (
	// syncEvery is how often what was spent is exchanged for what is left.
	syncEvery = 80 * time.Millisecond
	// syncBound is S, the longest that a token is taken while Redis does not know of
	// one taken before: requests wait for an exchange that is late.
	syncBound = 100 * time.Millisecond
	// syncTicks of it are how often all views are looked at for idle ones.
	syncTicks = 8
	// viewIdle is after how long a view that nobody asks for is forgotten.
	viewIdle = time.Second
	// syncBatch bounds the keys of one call.
	syncBatch = 256
	// defaultMaxViews bounds the views of a process, and defaultMaxUnsent those that
	// wait for an exchange: more could not be sent in time. All other keys are
	// decided by the store.
	defaultMaxViews  = 100_000
	defaultMaxUnsent = 8192
)

// syncer is a store that views are exchanged with.
type syncer interface {
	answerer
	// up says whether the store is asked at all.
	up() bool
}

// views decides requests by what Redis said of their keys some 100 ms ago, and
// tells it what was spent. It is safe for concurrent use. A goroutine does the
// exchanges, run.
//
// N instances admit at most (N−1)·min(C, a·S) beside the limit C, where a·S is what
// one instance is asked for in a time of S: so much is what Redis does not know of.
// While Redis is asked to decide a request, as the first one for a key, nobody is
// admitted here: Redis would not know of him.
type views struct {
	store     syncer
	now       func() int64 // microseconds, of a clock that does not jump
	views     *table[view]
	maxUnsent int

	queue queue[*view] // those that have something to tell

	next   int // the first shard that is looked at next; of the goroutine that sweeps
	closed atomic.Bool
}

func newViews(store syncer, now func() int64) *views {
	return &views{store: store, now: now, views: newTable[view](defaultMaxViews), maxUnsent: defaultMaxUnsent}
}

// claim implements keeper.
func (vs *views) claim(ctx context.Context, it item) claim {
	for vs.store.up() {
		home := vs.views.home(it.key)
		home.mu.Lock()
		c, v := vs.look(home, it)
		home.mu.Unlock()
		if v == nil {
			return c
		}
		inline.Blocks(ctx)
		waiting := span.Begin(ctx, span.Redis)
		vs.exchange(context.Background(), []*view{v})
		waiting.End(false)
	}
	return claim{}
}

// look is what is known of an item, or the view that has to be exchanged before. The
// caller holds the lock of its home.
func (vs *views) look(home *tableShard[view], it item) (claim, *view) {
	cost, now, closed := max(it.Cost, 0), vs.now(), vs.closed.Load() // what waited for the lock is late
	v := home.of[it.key]
	switch {
	case v == nil && !closed && len(home.of) < home.most:
		v = &view{key: it.key}
		home.of[it.key] = v
		return v.ask(it, now), nil
	case v == nil || closed && v.untold() == 0:
		return claim{}, nil
	}
	exchange := func() (claim, *view) {
		if v.busy != nil {
			return claim{wait: v.busy}, nil
		}
		return claim{}, v
	}
	decide := func() (claim, *view) { // by Redis, which is to know of all that was taken
		if v.busy != nil || v.untold() > 0 {
			return exchange()
		}
		return v.ask(it, now), nil
	}
	v.by, v.keep, v.used = it.Definition, it.keep, now
	switch {
	case v.asking:
		return claim{wait: v.busy}, nil
	case closed || v.overdue(now):
		return exchange()
	case cost > v.by.most():
		return claim{known: true, view: v, Result: v.seen.result(v.by, false, cost, now)}, nil
	case v.stale || v.seen.dim(v.by, now):
		return decide()
	case v.untold() == 0 && v.busy == nil && !v.queued && vs.queue.waiting.Load() >= int64(vs.maxUnsent):
		return v.ask(it, now), nil
	case v.seen.holds(v.by, cost, now):
		if v.untold()+cost > v.by.most() {
			return exchange()
		}
		return claim{known: true, view: v, term: v.term, Result: v.take(cost, now)}, nil
	case !v.seen.denies(v.by, cost, now):
		return decide()
	}
	if !v.queued && v.busy == nil && v.seen.old(now) {
		v.queued = true
		vs.queue.add(v)
	}
	return claim{known: true, view: v, Result: v.seen.result(v.by, false, cost, now)}, nil
}

// conclude implements keeper.
func (vs *views) conclude(it item, c claim, spent bool) {
	home, v := vs.views.home(it.key), c.view
	home.mu.Lock()
	defer home.mu.Unlock()
	v.conclude(max(it.Cost, 0), c.term, spent, vs.now())
	vs.enqueue(v)
}

// told implements keeper.
func (vs *views) told(it item, c claim, said *Result, charged bool) {
	home, v := vs.views.home(it.key), c.view
	home.mu.Lock()
	defer home.mu.Unlock()
	if v == nil { // there is no room for one, or Redis was down, or this process ends
		if v = home.of[it.key]; v != nil {
			v.stale = true
		}
		return
	}
	v.asking = false
	close(v.busy)
	v.busy = nil
	now := vs.now()
	if said != nil && isWindow(v.asked) && (said.Allowed && !charged || said.RetryAfter == Never) {
		said = nil // it may be given back yet, or is as a look: see received
	}
	switch {
	case said != nil:
		v.learn(*said, now)
		if !said.Allowed {
			v.seen.denied(*said, max(it.Cost, 0), now)
		}
	case v.seen == nil && home.of[it.key] == v:
		delete(home.of, it.key)
	}
	vs.enqueue(v)
}

// enqueue has a view exchanged that has something to tell. The caller holds the lock
// of its home.
func (vs *views) enqueue(v *view) {
	if v.due() && !v.queued {
		v.queued = true
		vs.queue.add(v)
	}
}

// run exchanges views until ctx ends.
func (vs *views) run(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			vs.flush(ctx)
			vs.sweep(shardCount / syncTicks)
		}
	}
}

// flush exchanges all views that are queued.
func (vs *views) flush(ctx context.Context) {
	vs.queue.flush(syncBatch, func(batch []*view) { vs.exchange(ctx, batch) })
}

// exchange tells the store what was spent of some views, and takes in what is left.
// What a call that failed has told may be told twice: too strict, and never too loose.
// Views of which the store is asked already are left out, and those that have nothing
// to say.
func (vs *views) exchange(ctx context.Context, batch []*view) {
	calls, told, last := make([]call, 0, len(batch)), make([]*view, 0, len(batch)), make([]int, 0, len(batch))
	for _, v := range batch {
		home := vs.views.home(v.key)
		home.mu.Lock()
		if v.busy == nil && v.speaks() {
			calls = v.send(calls, make(chan struct{}))
			told, last = append(told, v), append(last, len(calls)-1)
		} else {
			v.queued = false // and again when that has ended
		}
		home.mu.Unlock()
	}
	if len(calls) == 0 {
		return
	}
	results, err := vs.store.answer(ctx, calls)
	now := vs.now()
	for i, v := range told {
		home := vs.views.home(v.key)
		home.mu.Lock()
		busy := v.busy
		if err == nil {
			v.received(&results[last[i]][0], now)
		} else {
			v.received(nil, now)
		}
		vs.enqueue(v)
		home.mu.Unlock()
		close(busy)
	}
}

// sweep forgets views of the next few shards that are idle.
func (vs *views) sweep(shards int) {
	now := vs.now()
	for range shards {
		home := &vs.views.shards[vs.next]
		vs.next = (vs.next + 1) % shardCount
		home.mu.Lock()
		for key, v := range home.of {
			if v.forgettable(now) {
				delete(home.of, key)
			}
		}
		home.mu.Unlock()
	}
}

// close tells the store what it does not know yet. No request is decided here any
// more. The caller has ended run.
func (vs *views) close(ctx context.Context) {
	vs.closed.Store(true)
	vs.flush(ctx)
}
