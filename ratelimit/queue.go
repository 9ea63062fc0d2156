package ratelimit

import (
	"sync"
	"sync/atomic"
)

// queue is what waits for the store, to be told to it in batches. The zero queue is
// empty. It is safe for concurrent use.
type queue[E any] struct {
	waiting atomic.Int64 // how many wait

	mu     sync.Mutex
	queued []E // guarded by mu
	spare  []E // guarded by mu: the memory of what was flushed last
}

// add puts one behind the others.
func (q *queue[E]) add(e E) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queued = append(q.queued, e)
	q.waiting.Store(int64(len(q.queued)))
}

// flush tells all that wait now, in batches of at most so many.
func (q *queue[E]) flush(most int, tell func(batch []E)) {
	q.mu.Lock()
	all := q.queued
	q.queued, q.spare = q.spare[:0], nil
	q.waiting.Store(0)
	q.mu.Unlock()
	for rest := all; len(rest) > 0; {
		batch := rest[:min(most, len(rest))]
		rest = rest[len(batch):]
		tell(batch)
	}
	clear(all)
	q.mu.Lock()
	q.spare = all[:0]
	q.mu.Unlock()
}
