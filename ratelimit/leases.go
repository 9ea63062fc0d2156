package ratelimit

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"time"
)

const (
	// defaultMaxShares bounds the shares of a process. One takes about 400 bytes
	// and its key. Keys that have none are decided by the store.
	defaultMaxShares = 100_000
	// leaseTick is how often a part of the shares is looked at for idle ones, and
	// leaseTicks of it are all.
	leaseTick  = 50 * time.Millisecond
	leaseTicks = 8
	// leaseBatch bounds the shares that are renewed in one call.
	leaseBatch = 128
	// leaseRest is how long after a failure of the store a share is renewed again.
	leaseRest = 100 * time.Millisecond
)

// leaser is a store that gives tokens ahead.
type leaser interface {
	// lease answers renewals of the instance, whose keys are distinct, in order.
	// An error says that nothing is known: each may have been done or not, or
	// may yet be.
	lease(ctx context.Context, instance string, asked []renewal) ([]renewed, error)
}

// answerer is a store that is asked as requests ask it.
type answerer interface {
	// answer does calls in order. An error says that each may have been done or not.
	answer(ctx context.Context, calls []call) ([][]Result, error)
}

// leases decides requests from tokens that were taken from Redis before. It is
// safe for concurrent use. A goroutine renews the shares, run.
//
// What may be admitted from a bucket is its level in Redis and the tokens that
// are out with instances, which Redis counts: level + out ≤ capacity, always. A
// token leaves out only when it is said to be spent, is given back, or when its
// lease has ended, which an instance that spends it knows before. In a window all
// that was taken counts, spent or not: see ahead.
type leases struct {
	store    leaser   // of buckets
	windows  answerer // of windows
	instance string
	now      func() int64 // microseconds, of a clock that does not jump
	shares   *table[share]
	number   atomic.Uint64

	due   chan struct{} // holds one token while queue is not empty
	queue queue[*share] // those that are due

	next   int // the first shard that is looked at next; of the goroutine that sweeps
	closed atomic.Bool
}

func newLeases(store leaser, windows answerer, now func() int64, most int) *leases {
	return &leases{
		store: store, windows: windows, instance: rand.Text()[:13], now: now,
		shares: newTable[share](most), due: make(chan struct{}, 1),
	}
}

// claim implements keeper.
func (ls *leases) claim(_ context.Context, it item) claim {
	if ls.closed.Load() {
		return claim{}
	}
	home := ls.shares.home(it.key)
	home.mu.Lock()
	now := ls.now() // what waited for the lock is late
	s := home.of[it.key]
	if s == nil {
		home.mu.Unlock()
		return claim{}
	}
	s.ask(it, now)
	c := claim{known: true, share: s}
	switch tokens := s.spendable(now); {
	case it.Cost > 0 && it.Cost <= tokens:
		s.tokens -= it.Cost
		s.reserved += it.Cost
		s.note(it.Cost, now)
		c.term, c.Result = s.term, s.result(true, it.Cost, now)
	case it.Cost > 0 && s.empty(it.Cost, now):
		c.Result = s.result(false, it.Cost, now)
	default:
		c.known = false
	}
	queue := s.low(now)
	s.queued = s.queued || queue
	home.mu.Unlock()
	if queue {
		ls.enqueue(s)
	}
	return c
}

// conclude implements keeper.
func (ls *leases) conclude(it item, c claim, spent bool) {
	home := ls.shares.home(it.key)
	home.mu.Lock()
	defer home.mu.Unlock()
	s := c.share
	if s.term != c.term {
		return // the lease has ended meanwhile, and what is not spent is lost
	}
	s.reserved -= it.Cost
	if !spent {
		s.tokens += it.Cost
	}
}

// told implements keeper.
func (ls *leases) told(it item, _ claim, said *Result, charged bool) {
	if said == nil || ls.closed.Load() || it.Cost <= 0 || it.Cost > it.most() {
		return
	}
	now, home := ls.now(), ls.shares.home(it.key)
	home.mu.Lock()
	s := home.of[it.key]
	if s == nil {
		if len(home.of) >= home.most {
			home.mu.Unlock()
			return
		}
		s = &share{key: it.key, by: it.Definition}
		home.of[it.key] = s
	}
	s.ask(it, now)
	s.learn(said.Remaining, now)
	s.ahead.learn(*said, now)
	switch {
	case charged:
		s.note(it.Cost, now)
		s.emptyUntil = 0
	case !said.Allowed:
		s.denied(*said, it.Cost, now)
	}
	queue := s.low(now)
	s.queued = s.queued || queue
	home.mu.Unlock()
	if queue {
		ls.enqueue(s)
	}
}

// enqueue has a share renewed, which says that it is queued already.
func (ls *leases) enqueue(s *share) {
	ls.queue.add(s)
	select {
	case ls.due <- struct{}{}:
	default:
	}
}
