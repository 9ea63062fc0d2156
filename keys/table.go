package keys

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// evictionSample is how many entries are compared to find one that was not used
// for long. Eight come close to the oldest of all (Redis' documentation, "LRU
// and LFU"), and cost no list to be kept in order by every request.
const evictionSample = 8

// table remembers a bounded number of ids, and forgets those not asked for.
type table struct {
	max int

	mu      sync.RWMutex // guards the rest; used alone is also set by readers
	entries map[string]*entry
	// all holds the same entries, each at its place, to draw samples from: a
	// range over a map favours some entries by far.
	all []*entry
}

type entry struct {
	id     string
	record *Record // the record itself never changes; nil in a table of unknown ids
	used   atomic.Int64
	place  int // in table.all
}

func newTable(max int) *table {
	return &table{max: max, entries: map[string]*entry{}}
}

func (t *table) get(id string, now time.Time) (record *Record, hit bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	found, hit := t.entries[id]
	if !hit {
		return nil, false
	}
	found.used.Store(now.UnixNano())
	return found.record, true
}

// put remembers id, in the place of an entry not used for long when all are taken.
func (t *table) put(id string, record *Record, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	there, hit := t.entries[id]
	if !hit {
		if len(t.all) >= t.max {
			t.drop(t.leastUsed())
		}
		there = &entry{id: id, place: len(t.all)}
		t.entries[id] = there
		t.all = append(t.all, there)
	}
	there.record = record
	there.used.Store(now.UnixNano())
}

// replace changes the record of id if it is remembered.
func (t *table) replace(id string, record *Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if there, hit := t.entries[id]; hit {
		there.record = record
	}
}

func (t *table) remove(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if there, hit := t.entries[id]; hit {
		t.drop(there)
	}
}

func (t *table) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.entries)
	t.all = nil
}

func (t *table) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.all)
}

// leastUsed returns the entry of a random few that was not used for the longest
// time. There is at least one entry; the caller holds mu.
func (t *table) leastUsed() *entry {
	least := t.all[rand.IntN(len(t.all))]
	for range evictionSample - 1 {
		if other := t.all[rand.IntN(len(t.all))]; other.used.Load() < least.used.Load() {
			least = other
		}
	}
	return least
}

// drop takes an entry out; the last one moves to its place. The caller holds mu.
func (t *table) drop(dropped *entry) {
	last := len(t.all) - 1
	moved := t.all[last]
	moved.place = dropped.place
	t.all[dropped.place] = moved
	t.all[last] = nil
	t.all = t.all[:last]
	delete(t.entries, dropped.id)
}
