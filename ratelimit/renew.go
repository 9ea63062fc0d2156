package ratelimit

import (
	"context"
	"time"
)

// run renews shares that are due, and looks for idle ones, until ctx ends.
func (ls *leases) run(ctx context.Context) {
	tick := time.NewTicker(leaseTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ls.due:
		case <-tick.C:
			ls.sweep(shardCount / leaseTicks)
		}
		ls.flush(ctx)
	}
}

// flush renews all shares that are queued.
func (ls *leases) flush(ctx context.Context) {
	ls.queue.flush(leaseBatch, func(batch []*share) { ls.renew(ctx, batch) })
}

// renew renews shares: those of buckets by one call, and those of windows by
// another. They are queued, so that nobody else renews or forgets them.
func (ls *leases) renew(ctx context.Context, batch []*share) {
	var buckets, windows []*share
	for _, s := range batch {
		if ls.ofWindow(s) {
			windows = append(windows, s)
		} else {
			buckets = append(buckets, s)
		}
	}
	if len(buckets) > 0 {
		ls.renewBuckets(ctx, buckets)
	}
	if len(windows) > 0 {
		ls.renewWindows(ctx, windows)
	}
}

func (ls *leases) ofWindow(s *share) bool {
	home := ls.shares.home(s.key)
	home.mu.Lock()
	defer home.mu.Unlock()
	return isWindow(s.by)
}

func (ls *leases) renewBuckets(ctx context.Context, batch []*share) {
	asked, terms := make([]renewal, len(batch)), make([]uint32, len(batch))
	sent := ls.now()
	for i, s := range batch {
		home := ls.shares.home(s.key)
		home.mu.Lock()
		asked[i] = s.renew(ls.number.Add(1), s.idle(sent) || ls.closed.Load(), sent)
		terms[i] = s.term
		home.mu.Unlock()
	}
	got, err := ls.store.lease(ctx, ls.instance, asked)
	now := ls.now()
	for i, s := range batch {
		home := ls.shares.home(s.key)
		home.mu.Lock()
		s.queued = false
		if err != nil {
			s.pacedUntil = now + leaseRest.Microseconds()
		} else {
			s.settle(asked[i], got[i], terms[i], sent, now)
		}
		home.mu.Unlock()
	}
}

// renewWindows gives back what windows that are over have not spent, and takes anew.
func (ls *leases) renewWindows(ctx context.Context, batch []*share) {
	calls, last := make([]call, 0, 2*len(batch)), make([]int, len(batch))
	sent := ls.now()
	for i, s := range batch {
		home := ls.shares.home(s.key)
		home.mu.Lock()
		calls = s.ahead.renew(s, calls, s.idle(sent) || ls.closed.Load(), sent)
		last[i] = len(calls) - 1
		home.mu.Unlock()
	}
	results, err := ls.windows.answer(ctx, calls)
	now := ls.now()
	for i, s := range batch {
		home := ls.shares.home(s.key)
		home.mu.Lock()
		s.queued = false
		if err != nil {
			s.pacedUntil = now + leaseRest.Microseconds()
		} else {
			s.ahead.settle(s, calls[last[i]].items[0].Demand, results[last[i]][0], sent, now)
		}
		home.mu.Unlock()
	}
}

// sweep looks at the next few shards: what is idle is given back, and what has
// nothing left to say is forgotten.
func (ls *leases) sweep(shards int) {
	now := ls.now()
	for range shards {
		home := &ls.shares.shards[ls.next]
		ls.next = (ls.next + 1) % shardCount
		var due []*share
		home.mu.Lock()
		for key, s := range home.of {
			switch {
			case s.queued:
			case s.due(now):
				s.queued = true
				due = append(due, s)
			case s.forgettable(now):
				delete(home.of, key)
			}
		}
		home.mu.Unlock()
		for _, s := range due {
			ls.enqueue(s)
		}
	}
}

// close gives everything back, and ends with ctx. No request is decided here any
// more. The caller has ended run.
func (ls *leases) close(ctx context.Context) {
	ls.closed.Store(true)
	for i := range ls.shares.shards {
		home := &ls.shares.shards[i]
		home.mu.Lock()
		for _, s := range home.of {
			if s.holding(ls.now()) && !s.queued {
				s.queued = true
				ls.enqueue(s)
			}
		}
		home.mu.Unlock()
	}
	ls.flush(ctx)
}
