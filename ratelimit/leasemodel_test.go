package ratelimit

import (
	"context"
	"slices"
	"sync"
	"time"
)

// leasingStore is a store that gives leases.
type leasingStore interface {
	store
	leaser
	run(context.Context, []call) ([][]Result, error)
}

// leaseModel is lease.lua and take.lua for token buckets as plain Go on the
// arithmetic of Bucket, in this process.
type leaseModel struct {
	now func() int64
	mu  sync.Mutex // guards all below
	of  map[string]*leasedBucket
}

type leasedBucket struct {
	state  State
	leases []leaseOf // in the order in which they end
}

type leaseOf struct {
	instance     string
	amount, ends int64
	number       uint64
}

func newLeaseModel(now func() int64) *leaseModel {
	return &leaseModel{now: now, of: map[string]*leasedBucket{}}
}

// out is the tokens of all leases.
func (l *leasedBucket) out() (n int64) {
	for _, lease := range l.leases {
		n += lease.amount
	}
	return n
}

// beside is the bucket that is full where level and leases are the capacity.
func (b Bucket) beside(out int64) Bucket {
	b.capacity = max(b.capacity-out, 0)
	return b
}

// at brings l to time now, lease by lease.
func (l *leasedBucket) at(b Bucket, now int64) *leasedBucket {
	next := &leasedBucket{state: l.state, leases: slices.Clone(l.leases)}
	if l.state.Unit == 0 {
		return &leasedBucket{state: b.at(State{}, now)}
	}
	at := max(now, l.state.Last)
	for len(next.leases) > 0 && next.leases[0].ends <= at {
		next.state = b.beside(next.out()).at(next.state, next.leases[0].ends)
		next.leases = next.leases[1:]
	}
	next.state = b.beside(next.out()).at(next.state, at)
	return next
}

// wait is the time until the level is there if nobody does anything.
func (l *leasedBucket) wait(b Bucket, level, now int64) time.Duration {
	if l.state.Level >= level {
		return 0
	}
	next := &leasedBucket{state: l.state, leases: slices.Clone(l.leases)}
	for len(next.leases) > 0 && b.beside(next.out()).full() < level {
		next.state = b.beside(next.out()).at(next.state, next.leases[0].ends)
		next.leases = next.leases[1:]
	}
	return micros(uint64(next.state.Last - now + ceilDiv(level-next.state.Level, b.rate)))
}

// give gives back what d took, to no more than what is full beside the leases.
func (l *leasedBucket) give(b Bucket, d Demand) {
	level := l.state.Level
	back, _ := b.beside(l.out()).returned(l.state, d)
	l.state.Level = max(back.Level, level)
}

func (m *leaseModel) get(key string) *leasedBucket {
	if l := m.of[key]; l != nil {
		return l
	}
	return &leasedBucket{}
}

func (m *leaseModel) run(_ context.Context, calls []call) ([][]Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	var all [][]Result
	for _, c := range calls {
		next, results, allowed := make([]*leasedBucket, len(c.items)), make([]Result, len(c.items)), true
		for i, it := range c.items {
			b := it.Definition.(Bucket)
			next[i] = m.get(it.key).at(b, now)
			results[i].Allowed = b.holds(next[i].state, it.Cost) || c.op == opRefund
			allowed = allowed && results[i].Allowed
		}
		for i, it := range c.items {
			b := it.Definition.(Bucket)
			if c.op == opRefund && it.Cost > 0 {
				next[i].give(b, it.Demand)
				if m.of[it.key] != nil {
					m.of[it.key] = next[i]
				}
			} else if charge := allowed || c.op == opForce; charge && it.Cost > 0 {
				next[i].state = b.charged(next[i].state, it.Demand)
				m.of[it.key] = next[i]
			}
			r := b.result(next[i].state, results[i].Allowed, it.Cost, now)
			r.ResetAfter = next[i].wait(b, b.full(), now)
			if r.RetryAfter > 0 {
				r.RetryAfter = next[i].wait(b, it.Cost*b.unit, now)
			}
			results[i] = r
		}
		all = append(all, results)
	}
	return all, nil
}

func (m *leaseModel) take(ctx context.Context, items []item) ([]Result, error) {
	all, err := m.run(ctx, []call{{op: opTake, items: items}})
	return all[0], err
}

func (m *leaseModel) lease(_ context.Context, instance string, asked []renewal) ([]renewed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	got := make([]renewed, len(asked))
	for i, a := range asked {
		l := m.get(a.key).at(a.bucket, now)
		var mine leaseOf
		if at := slices.IndexFunc(l.leases, func(o leaseOf) bool { return o.instance == instance }); at >= 0 {
			mine = l.leases[at]
			if mine.number >= a.number {
				got[i] = renewed{amount: -1, remaining: max(l.state.Level, 0) / a.bucket.unit}
				continue
			}
			l.leases = slices.Delete(l.leases, at, at+1)
		}
		held := min(a.held, mine.amount)
		back := min(a.back, mine.amount-held)
		l.state.Level = min(l.state.Level+back*a.bucket.unit, a.bucket.beside(l.out()+held).full())
		given := min(a.want, max(l.state.Level, 0)/a.bucket.unit/2)
		l.state.Level -= given * a.bucket.unit
		if held+given > 0 {
			l.leases = append(l.leases, leaseOf{instance, held + given, l.state.Last + leaseTTL.Microseconds(), a.number})
			slices.SortStableFunc(l.leases, func(x, y leaseOf) int { return int(x.ends - y.ends) })
		}
		if mine.amount > 0 || given > 0 {
			m.of[a.key] = l
		}
		got[i] = renewed{amount: held + given, remaining: max(l.state.Level, 0) / a.bucket.unit}
	}
	return got, nil
}

// clear loses everything, as a Redis does that restarts without its data.
func (m *leaseModel) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.of)
}
