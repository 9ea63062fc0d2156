package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// one is a demand of one token.
func one(key string, b Bucket) []item { return []item{{key, of(b, 1)}} }

// memoryAt is a store on a clock of the test's.
func memoryAt(maxBuckets int) (*memory, *atomic.Int64) {
	m, clock := newMemory(maxBuckets), new(atomic.Int64)
	m.now = clock.Load
	return m, clock
}

func allowed(t *testing.T, s store, items []item) bool {
	t.Helper()
	results, err := s.take(context.Background(), items)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Allowed {
			return false
		}
	}
	return true
}

func TestMemoryDropsFullBuckets(t *testing.T) {
	m, clock := memoryAt(defaultMaxBuckets)
	second := bucketOf(t, 10, 1, time.Second)
	for i := range 10_000 {
		allowed(t, m, one(fmt.Sprint("old", i), second))
	}
	if n := m.size(); n != 10_000 {
		t.Fatalf("%d buckets kept, want 10000 while they are not full", n)
	}
	clock.Add(time.Second.Microseconds())
	// A take looks at two buckets; what it adds itself is dropped in its turn.
	for i := range 20_000 {
		allowed(t, m, one(fmt.Sprint("new", i), second))
		clock.Add(time.Millisecond.Microseconds())
	}
	if n := m.size(); n > 1_500 {
		t.Errorf("%d buckets kept, want about the 1000 that are not full", n)
	}
}

func TestMemoryKeepsBucketsThatAreNotFull(t *testing.T) {
	m, clock := memoryAt(defaultMaxBuckets)
	b := bucketOf(t, 2, 1, time.Hour)
	allowed(t, m, []item{{"victim", of(b, 2)}})
	for i := range 5_000 {
		clock.Add(time.Millisecond.Microseconds())
		allowed(t, m, one(fmt.Sprint(i), b))
	}
	if allowed(t, m, one("victim", b)) {
		t.Error("a drained bucket was full before its time")
	}
}

// A flood of new keys pushes out its own buckets; clients that are being
// limited stay limited, and the store stays bounded.
func TestMemoryFloodSparesDrainedBuckets(t *testing.T) {
	const most = shardCount * 256
	m, _ := memoryAt(most)
	victim := bucketOf(t, 20, 10, time.Second)
	// The flood's buckets take longest to fill, and yet forgive least.
	flood := bucketOf(t, 1000, 1, time.Hour)
	for i := range 200 {
		allowed(t, m, []item{{fmt.Sprint("victim", i), of(victim, 20)}})
	}
	for i := range 200_000 {
		allowed(t, m, one(fmt.Sprint("flood", i), flood))
	}
	if n := m.size(); n > most {
		t.Errorf("%d buckets kept, want at most %d", n, most)
	}
	if m.evicted.Load() == 0 {
		t.Error("no bucket counted as evicted")
	}
	for i := range 200 {
		if allowed(t, m, one(fmt.Sprint("victim", i), victim)) {
			t.Errorf("victim %d was forgotten", i)
		}
	}
}

// Takes of several keys in every order neither block each other nor charge in
// part: each pair takes one of both, so both run out together.
func TestMemoryChargesSeveralKeysTogether(t *testing.T) {
	m, _ := memoryAt(defaultMaxBuckets)
	b := bucketOf(t, 1000, 1, day)
	var keys []string
	for i := range 8 {
		keys = append(keys, fmt.Sprint("key", i))
	}
	var admitted atomic.Int64
	var takers sync.WaitGroup
	for w := range 8 {
		takers.Go(func() {
			items := make([]item, len(keys))
			for i := range keys {
				items[i] = item{keys[(i+w)%len(keys)], of(b, 1)}
			}
			for range 500 {
				if allowed(t, m, items) {
					admitted.Add(1)
				}
			}
		})
	}
	takers.Wait()
	if n := admitted.Load(); n != 1000 {
		t.Errorf("%d admitted, want exactly the capacity of 1000", n)
	}
	results, _ := m.take(context.Background(), []item{{keys[0], of(b, 0)}, {keys[7], of(b, 0)}})
	if results[0].Remaining != 0 || results[1].Remaining != 0 {
		t.Errorf("%d and %d left, want none of either", results[0].Remaining, results[1].Remaining)
	}
}
