package plan

import (
	"hash/maphash"
	"maps"
)

// shards is a map that is copied on write, part by part: two plans that differ
// in one route share all parts but one. So a plan costs what it changed, in time
// and in memory, however many of them are kept. The zero value is empty.
type shards[V any] struct {
	parts [numShards]map[string]V
}

const numShards = 512

var shardSeed = maphash.MakeSeed()

func shardOf(key string) int { return int(maphash.String(shardSeed, key) % numShards) }

func (s *shards[V]) get(key string) (V, bool) {
	v, ok := s.parts[shardOf(key)][key]
	return v, ok
}

// edit is a change of shards that are not yet shared.
type edit[V any] struct {
	shards[V]
	own [numShards]bool // parts that nobody else has
}

// edited begins a change of a copy.
func (s *shards[V]) edited() *edit[V] { return &edit[V]{shards: *s} }

func (e *edit[V]) part(key string) map[string]V {
	i := shardOf(key)
	if !e.own[i] {
		e.parts[i] = maps.Clone(e.parts[i])
		if e.parts[i] == nil {
			e.parts[i] = map[string]V{}
		}
		e.own[i] = true
	}
	return e.parts[i]
}

func (e *edit[V]) set(key string, v V) { e.part(key)[key] = v }
func (e *edit[V]) remove(key string)   { delete(e.part(key), key) }
