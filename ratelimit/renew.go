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

// renew renews shares by one call. They are queued, so that nobody else renews
// or forgets them.
func (ls *leases) renew(ctx context.Context, batch []*share) {
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
			case s.queued || !s.idle(now) && !s.ending(now):
			case now < s.listed || !s.idle(now):
				s.queued = true
				due = append(due, s)
			case s.reserved == 0 && now >= s.emptyUntil:
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
			if ls.now() < s.listed && !s.queued {
				s.queued = true
				ls.enqueue(s)
			}
		}
		home.mu.Unlock()
	}
	ls.flush(ctx)
}
