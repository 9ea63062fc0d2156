package ratelimit

import (
	"hash/maphash"
	"sync"
)

// table keeps what this process knows of keys, in shards, and never more than so
// many: it does not push out, it has no room. What it says no to is decided by
// the store.
type table[E any] struct {
	seed   maphash.Seed
	shards [shardCount]tableShard[E]
}

// tableShard is a part of a table. The mutex guards the map and all that is in it.
type tableShard[E any] struct {
	mu   sync.Mutex
	most int
	of   map[string]*E
}

func newTable[E any](most int) *table[E] {
	t := &table[E]{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].most = max(most/shardCount, 1)
		t.shards[i].of = make(map[string]*E)
	}
	return t
}

// home is the shard of a key.
func (t *table[E]) home(key string) *tableShard[E] {
	return &t.shards[maphash.String(t.seed, key)%shardCount]
}

// size is the number of keys.
func (t *table[E]) size() int {
	n := 0
	for i := range t.shards {
		t.shards[i].mu.Lock()
		n += len(t.shards[i].of)
		t.shards[i].mu.Unlock()
	}
	return n
}
