package ratelimit

import (
	"context"
	"time"
)

const (
	// settleEvery is how often it is looked for what can be settled.
	settleEvery = 100 * time.Millisecond
	// settledTogether is how much goes in one call.
	settledTogether = mostTogether
)

// While Redis does not answer, this process counts its portion of the limits in its
// own memory. What that lacks when Redis is back (tokens that were taken and have
// not come back, requests that are still in their window) is charged in Redis: of a
// limit that is asked for, in the same call before the request; of the others a
// little later, in bounded calls. So nobody gets at once what he has just used up
// here, and none is charged for what time has given back meanwhile.

// remainder takes what is kept under a key out of m, and returns it as a demand to
// be charged elsewhere. ok is false where nothing is owed.
func (m *memory) remainder(key string) (debt item, ok bool) {
	homes, _ := m.homes([]item{{key: key}})
	s := &m.shards[homes[0]]
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.index[key]
	if !found {
		return item{}, false
	}
	k := &s.buckets[i]
	if l, isLog := inner(k.by).(slidingLog); isLog && l.flights {
		return item{}, false // they end here
	}
	debt, ok = k.debt(m.now())
	s.drop(i)
	return debt, ok
}

// keys are those of the shard.
func (s *shard) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, len(s.buckets))
	for i := range s.buckets {
		keys[i] = s.buckets[i].key
	}
	return keys
}

// debt is what k lacks, by the whole definition.
func (k *kept) debt(now int64) (item, bool) {
	n := owed(k.by, k.state, now)
	return item{key: k.key, Demand: Demand{Definition: wholeOf(k.by), Cost: n, keep: max(k.until-k.state.Last, 0)}}, n > 0
}

// debts is what this process owes of items. They are charged now, or unsettled.
func (l *Limiter) debts(items []item) (debts []item) {
	if !l.owes.Load() {
		return nil
	}
	for _, it := range items {
		if debt, ok := l.local.remainder(it.key); ok {
			debts = append(debts, l.numbered(debt))
		}
	}
	return debts
}

// numbered is a debt with ids for a log.
func (l *Limiter) numbered(debt item) item {
	if _, isLog := debt.Definition.(slidingLog); isLog {
		debt.ID = l.ids.Add(debt.Cost) - debt.Cost
	}
	return debt
}

// unsettled takes back debts that may not have been charged: some are charged twice
// then, and none never.
func (l *Limiter) unsettled(debts []item) {
	_, _ = l.local.run(context.Background(), []call{{op: opForce, items: l.portions(debts)}}) // never fails
	l.owes.Store(true)
}

// answerPortion answers calls by this instance's portion of their limits.
func (l *Limiter) answerPortion(ctx context.Context, calls []call) ([][]Result, error) {
	here := make([]call, len(calls))
	for i, c := range calls {
		here[i] = call{op: c.op, items: l.portions(c.items)}
	}
	results, err := l.local.run(ctx, here)
	l.owes.Store(true)
	return results, err
}

// portions are items with this instance's portion of their limits.
func (l *Limiter) portions(items []item) []item {
	n := l.live.instances()
	out := make([]item, len(items))
	for i, it := range items {
		it.Definition = portionOf(it.Definition, n)
		out[i] = it
	}
	return out
}

// startSettling has what is owed charged in Redis, until stop.
func (l *Limiter) startSettling() {
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	l.settled = make(chan struct{})
	l.shared.settle, l.shared.unsettled = l.debts, l.unsettled
	go func() {
		defer close(l.settled)
		l.settleUntil(ctx)
	}()
}

// settleUntil charges what is owed whenever Redis can be asked, until ctx ends.
func (l *Limiter) settleUntil(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(settleEvery):
		}
		if l.owes.Load() {
			l.settleAll(ctx)
		}
	}
}

// settleAll charges what is owed, in bounded calls, where the server is up.
func (l *Limiter) settleAll(ctx context.Context) {
	var debts []call
	for i := range l.local.shards {
		for _, key := range l.local.shards[i].keys() {
			if !l.shared.laneOf(key).up() {
				continue
			}
			if debt, ok := l.local.remainder(key); ok {
				debts = append(debts, call{op: opForce, items: []item{l.numbered(debt)}})
			}
			if len(debts) == settledTogether {
				l.charge(debts)
				debts = debts[:0]
			}
			if ctx.Err() != nil {
				return
			}
		}
	}
	l.charge(debts)
	l.owes.Store(false)
	if l.local.size() > 0 { // of servers that are down, or of requests meanwhile
		l.owes.Store(true)
	}
}

// charge charges debts in Redis, and takes back what may not have been.
func (l *Limiter) charge(debts []call) {
	if len(debts) == 0 {
		return
	}
	for i, r := range l.shared.askAll(debts) {
		if r.err != nil {
			l.unsettled(debts[i].items)
		}
	}
}
