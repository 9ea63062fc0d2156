package ratelimit

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultMaxBuckets bounds the buckets of a process. A bucket takes about
	// 200 bytes, and its key up to 200 more.
	defaultMaxBuckets = 1_000_000

	shardCount = 64
	// sweptPerTake is how many buckets a take looks at for full ones to drop.
	// Two outrun any flood, which adds one.
	sweptPerTake = 2
	// evictionSample is how many buckets compete when one has to go.
	evictionSample = 8
)

// memory keeps the buckets of this process. A bucket that is full again is
// dropped, since an absent one is full: a little at each take, never all at
// once. There are at most maxBuckets; when there is no room, the bucket of a
// random few that forgives the fewest tokens goes. So a flood of new keys, each
// hardly used, pushes out its own and not the drained bucket of a client that
// is being limited.
type memory struct {
	now    func() int64 // microseconds, of a clock that does not jump
	keep   int64        // microseconds that a full bucket is kept; 0 but in tests
	seed   maphash.Seed
	shards [shardCount]shard
	// evicted counts buckets that went before they were full.
	evicted atomic.Uint64
}

// shard is a part of the buckets. The mutex guards all other fields.
type shard struct {
	mu      sync.Mutex
	max     int // the places that there are, and those that are taken
	used    int
	index   map[string]int // where a key is in buckets
	buckets []kept
	next    int // the last one that sweeping looked at
}

// kept is what is kept under a key, and the definition that it was last charged by.
type kept struct {
	key   string
	state State
	by    Definition
	until int64 // the time from which on it says nothing, by all definitions of its limit
}

// room is how many of the store's places it takes: one, and one more for each
// dozen entries.
func (k *kept) room() int { return 1 + len(k.state.Entries)/12 }

// forgives is how much would be admitted anew if it were dropped now.
func (k *kept) forgives(now int64) float64 { return k.by.forgives(k.state, now) }

// newMemory returns an empty store for about maxBuckets buckets on the
// clock of the process.
func newMemory(maxBuckets int) *memory {
	m := &memory{now: newClock(time.Now).micros, seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].max = max(maxBuckets/shardCount, 1)
		m.shards[i].index = make(map[string]int)
	}
	return m
}

// take implements store. It never fails.
func (m *memory) take(ctx context.Context, items []item) ([]Result, error) {
	results, err := m.run(ctx, []call{{op: opTake, items: items}})
	return results[0], err
}

// run answers calls in order. It never fails.
func (m *memory) run(_ context.Context, calls []call) ([][]Result, error) {
	results := make([][]Result, len(calls))
	for i, c := range calls {
		results[i] = m.answer(c)
	}
	return results, nil
}

// answer does what one call asks, at one time.
func (m *memory) answer(c call) []Result {
	homes, locked := m.homes(c.items)
	for _, i := range locked { // in the order of the shards: no two calls wait for each other
		m.shards[i].mu.Lock()
		defer m.shards[i].mu.Unlock()
	}
	now := m.now()
	states := make([]State, len(c.items))
	demands := make([]Demand, len(c.items))
	for i, it := range c.items {
		states[i], demands[i] = m.shards[homes[i]].state(it.key), it.Demand
	}
	states, results, changed := c.op.do(states, demands, now)
	for i, it := range c.items {
		if changed && it.Cost > 0 && states[i].Unit != 0 {
			m.evicted.Add(m.shards[homes[i]].put(it, states[i], now))
		}
	}
	for _, i := range locked {
		m.shards[i].sweep(now - m.keep)
	}
	return results
}

// homes is the shard of each item, and the shards to lock, ascending.
func (m *memory) homes(items []item) (homes, locked []int) {
	homes = make([]int, len(items))
	for i, it := range items {
		homes[i] = int(maphash.String(m.seed, it.key) % shardCount)
	}
	locked = slices.Clone(homes)
	slices.Sort(locked)
	return homes, slices.Compact(locked)
}

// size is the number of buckets kept.
func (m *memory) size() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}

// state is what is kept under key; the zero State, a full bucket, if nothing.
func (s *shard) state(key string) State {
	if i, ok := s.index[key]; ok {
		return s.buckets[i].state
	}
	return State{}
}

// put keeps the state of an item, and returns how many buckets had to go for it.
func (s *shard) put(it item, state State, now int64) (evicted uint64) {
	k := kept{key: it.key, state: state, by: it.Definition}
	k.until = max(it.ends(state), state.Last+it.keep)
	if i, ok := s.index[it.key]; ok {
		s.used += k.room() - s.buckets[i].room()
		s.buckets[i] = k
	} else {
		s.used += k.room()
		s.index[it.key] = len(s.buckets)
		s.buckets = append(s.buckets, k)
	}
	for s.used > s.max && len(s.buckets) > 1 {
		s.drop(s.leastForgiven(s.index[it.key], now))
		evicted++
	}
	return evicted
}

// leastForgiven is the one, of a random few and not the one at own, that forgives
// the least. There are others.
func (s *shard) leastForgiven(own int, now int64) int {
	least := -1
	for range evictionSample {
		i := rand.IntN(len(s.buckets) - 1)
		if i >= own {
			i++
		}
		if least < 0 || s.buckets[i].forgives(now) < s.buckets[least].forgives(now) {
			least = i
		}
	}
	return least
}

// sweep looks at the next few buckets and drops those full at the given time.
// It goes from the end to the beginning: what takes the place of a dropped one
// comes from the end, and has been looked at.
func (s *shard) sweep(full int64) {
	for range min(sweptPerTake, len(s.buckets)) {
		s.next--
		if s.next < 0 || s.next >= len(s.buckets) {
			s.next = len(s.buckets) - 1
		}
		if s.buckets[s.next].until <= full {
			s.drop(s.next)
		}
	}
}

// drop forgets the bucket at i; the last one takes its place.
func (s *shard) drop(i int) {
	last := len(s.buckets) - 1
	s.used -= s.buckets[i].room()
	delete(s.index, s.buckets[i].key)
	if i != last {
		s.buckets[i] = s.buckets[last]
		s.index[s.buckets[i].key] = i
	}
	s.buckets[last] = kept{}
	s.buckets = s.buckets[:last]
}
