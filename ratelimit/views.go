package ratelimit

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/internal/inline"
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
	// answer does calls in order. An error says that each may have been done or not.
	answer(ctx context.Context, calls []call) ([][]Result, error)
	// up says whether the store is asked at all.
	up() bool
}

// views decides requests by what Redis said of their buckets some 100 ms ago, and
// tells it what was spent. It is safe for concurrent use. A goroutine does the
// exchanges, run.
//
// N instances admit at most C + R·T + (N−1)·min(C, a·S), where a·S is what one
// instance is asked for from a first token until Redis knows of it.
type views struct {
	store     syncer
	now       func() int64 // microseconds, of a clock that does not jump
	views     *table[view]
	maxUnsent int

	mu    sync.Mutex
	queue []*view // guarded by mu
	spare []*view // guarded by mu

	waiting atomic.Int64 // the length of queue

	next   int // the first shard that is looked at next; of the goroutine that sweeps
	closed atomic.Bool
}

func newViews(store syncer, now func() int64) *views {
	return &views{store: store, now: now, views: newTable[view](defaultMaxViews), maxUnsent: defaultMaxUnsent}
}

// claim implements keeper.
func (vs *views) claim(ctx context.Context, it item) claim {
	bucket, ok := it.Definition.(Bucket)
	if !ok {
		return claim{}
	}
	for vs.store.up() && !vs.closed.Load() {
		home := vs.views.home(it.key)
		home.mu.Lock()
		now := vs.now() // what waited for the lock is late
		v := home.of[it.key]
		if v == nil || !v.queued && vs.waiting.Load() >= int64(vs.maxUnsent) {
			home.mu.Unlock()
			return claim{}
		}
		if !v.overdue(now) {
			v.bucket, v.keep = bucket, it.keep
			c := claim{known: true, view: v, Result: v.take(max(it.Cost, 0), now)}
			home.mu.Unlock()
			return c
		}
		under := v.exchange
		home.mu.Unlock()
		inline.Blocks(ctx)
		if under != nil {
			<-under // it ends with the store's timeout
		} else {
			vs.exchange(context.Background(), []*view{v})
		}
	}
	return claim{}
}

// conclude implements keeper.
func (vs *views) conclude(it item, c claim, spent bool) {
	home, v := vs.views.home(it.key), c.view
	home.mu.Lock()
	v.conclude(max(it.Cost, 0), spent)
	queue := v.unsent > 0 && !v.queued
	v.queued = v.queued || queue
	home.mu.Unlock()
	if queue {
		vs.enqueue(v)
	}
}

// told implements keeper.
func (vs *views) told(it item, r Result, _ bool) {
	bucket, ok := it.Definition.(Bucket)
	if !ok || vs.closed.Load() {
		return
	}
	now, home := vs.now(), vs.views.home(it.key)
	home.mu.Lock()
	defer home.mu.Unlock()
	v := home.of[it.key]
	switch {
	case v != nil:
		v.hear(r.ResetAfter, now)
		return
	case len(home.of) >= home.most:
		return
	}
	v = &view{key: it.key, bucket: bucket, keep: it.keep, used: now}
	v.learn(r.ResetAfter, now)
	home.of[it.key] = v
}

// enqueue has a view exchanged, which says that it is queued already.
func (vs *views) enqueue(v *view) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	vs.queue = append(vs.queue, v)
	vs.waiting.Store(int64(len(vs.queue)))
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
	vs.mu.Lock()
	queue := vs.queue
	vs.queue, vs.spare = vs.spare[:0], nil
	vs.waiting.Store(0)
	vs.mu.Unlock()
	for rest := queue; len(rest) > 0; {
		batch := rest[:min(syncBatch, len(rest))]
		rest = rest[len(batch):]
		vs.exchange(ctx, batch)
	}
	clear(queue)
	vs.mu.Lock()
	vs.spare = queue[:0]
	vs.mu.Unlock()
}

// exchange tells the store what was spent of some views, and takes in what is left.
// What a call that failed has told may be told twice: too strict, and never too loose.
// Views that are in another exchange are left out.
func (vs *views) exchange(ctx context.Context, batch []*view) {
	done := make(chan struct{})
	defer close(done)
	calls, told := make([]call, 0, len(batch)), make([]*view, 0, len(batch))
	now := vs.now()
	for _, v := range batch {
		home := vs.views.home(v.key)
		home.mu.Lock()
		if v.exchange == nil {
			told = append(told, v)
			calls = append(calls, call{op: opForce, items: []item{v.send(done, now)}})
		} else {
			v.queued = false // and again when that has ended
		}
		home.mu.Unlock()
	}
	if len(calls) == 0 {
		return
	}
	results, err := vs.store.answer(ctx, calls)
	now = vs.now()
	for i, v := range told {
		home := vs.views.home(v.key)
		home.mu.Lock()
		if err == nil {
			v.received(results[i][0].ResetAfter, true, now)
		} else {
			v.received(0, false, now)
		}
		queue := v.unsent > 0 && !v.queued
		v.queued = v.queued || queue
		home.mu.Unlock()
		if queue {
			vs.enqueue(v)
		}
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
			if v.idle(now) && !v.queued && v.exchange == nil && v.reserved == 0 {
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
