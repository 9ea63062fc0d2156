package authz

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// tokenShards is how many parts the table has, each with a lock of its own. It
// is a power of two.
const tokenShards = 16

// tokenTable remembers the tokens that have been verified, up to a weight.
//
// A token that does not verify never gets here, so a flood of forged ones
// pushes nobody out. One that does is on trial first: it is kept for good once
// it has been shown again. Room is made by those on trial as long as they have
// more than a quarter of it, the oldest first. So a flood of tokens that are
// genuine but never used twice, as of a client that asks for a new one with each
// request, passes through that quarter and leaves the others alone. Among those
// that are kept, who has been shown since the last round stays for another.
// (The idea is that of S3-FIFO, Yang and others, SOSP 2023.)
//
// A nil table remembers nothing.
type tokenTable struct {
	shards  [tokenShards]tokenShard
	metrics *tokenMetrics
}

// tokenShard is one part of the table.
type tokenShard struct {
	most int // weight

	mu      sync.RWMutex // guards the rest
	entries map[tokenSum]*seenToken
	trial   tokenQueue
	kept    tokenQueue
}

// place is where a token stands in its shard.
type place struct {
	weight int
	sum    tokenSum
	// gone: it has been taken out, though it is still in a queue.
	gone bool
	// again: it has been shown since it last was looked at for its place.
	again atomic.Bool
}

// newTokenTable returns a table of at most so many entries; nil of less than 1.
func newTokenTable(entries int, r prometheus.Registerer) *tokenTable {
	if entries < 1 {
		return nil
	}
	t := &tokenTable{}
	for i := range t.shards {
		s := &t.shards[i]
		s.entries = map[tokenSum]*seenToken{}
		// Rounded down, for the sum to be within the bound; but a shard without
		// room for one would be none.
		s.most = max(1, entries/tokenShards)
	}
	t.metrics = newTokenMetrics(r, t.len)
	return t
}

func (t *tokenTable) shard(sum tokenSum) *tokenShard { return &t.shards[sum[0]%tokenShards] }

// find returns a token that has been verified; nil where it is not known.
func (t *tokenTable) find(sum tokenSum) *seenToken {
	s := t.shard(sum)
	s.mu.RLock()
	found := s.entries[sum]
	s.mu.RUnlock()
	if found == nil {
		t.metrics.misses.Inc()
		return nil
	}
	// Looked at first: to write what is there already would have the cores
	// fight for the line.
	if !found.again.Load() {
		found.again.Store(true)
	}
	t.metrics.hits.Inc()
	return found
}

// add remembers a token that has been verified.
func (t *tokenTable) add(sum tokenSum, seen *seenToken) {
	s := t.shard(sum)
	s.mu.Lock()
	defer s.mu.Unlock()
	seen.sum = sum
	if s.entries[sum] != nil || seen.weight > s.most {
		return
	}
	for s.trial.weight+s.kept.weight+seen.weight > s.most {
		s.makeRoom(t.metrics)
	}
	s.entries[sum] = seen
	s.trial.push(seen)
}

// forget takes a token out, as one that has expired.
func (t *tokenTable) forget(sum tokenSum) {
	s := t.shard(sum)
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.entries[sum]; found != nil {
		found.gone = true
		delete(s.entries, sum)
	}
}

// len is how many tokens are remembered.
func (t *tokenTable) len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		n += len(s.entries)
		s.mu.RUnlock()
	}
	return n
}

// makeRoom looks at one token, and takes it out or moves it to the end of those
// that are kept. There is at least one. It ends, because a token that has been
// moved counts as not shown, and only readers outside the lock make it shown.
func (s *tokenShard) makeRoom(m *tokenMetrics) {
	from := &s.kept
	if s.trial.weight*4 > s.most || s.kept.empty() {
		from = &s.trial
	}
	oldest := from.pop()
	switch {
	case oldest.gone:
	case oldest.again.CompareAndSwap(true, false):
		s.kept.push(oldest)
	default:
		delete(s.entries, oldest.sum)
		m.evictions.Inc()
	}
}

// tokenQueue is tokens in the order in which they came.
type tokenQueue struct {
	weight int
	// tokens from first on are in it. What is before has been taken.
	tokens []*seenToken
	first  int
}

func (q *tokenQueue) empty() bool { return q.first == len(q.tokens) }

func (q *tokenQueue) push(s *seenToken) {
	if q.first > 64 && q.first > len(q.tokens)/2 {
		kept := copy(q.tokens, q.tokens[q.first:])
		clear(q.tokens[kept:])
		q.tokens, q.first = q.tokens[:kept], 0
	}
	q.tokens = append(q.tokens, s)
	q.weight += s.weight
}

func (q *tokenQueue) pop() *seenToken {
	s := q.tokens[q.first]
	q.tokens[q.first] = nil
	q.first++
	q.weight -= s.weight
	return s
}

// tokenMetrics are those of a table.
type tokenMetrics struct {
	hits, misses, evictions prometheus.Counter
}

func newTokenMetrics(r prometheus.Registerer, size func() int) *tokenMetrics {
	f := promauto.With(r)
	lookups := f.NewCounterVec(prometheus.CounterOpts{
		Name: "gatewright_token_cache_lookups_total",
		Help: "Tokens looked for among those verified before, by result: hit or miss.",
	}, []string{"result"})
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gatewright_token_cache_entries",
		Help: "Verified tokens that are remembered.",
	}, func() float64 { return float64(size()) })
	return &tokenMetrics{
		hits:   lookups.WithLabelValues("hit"),
		misses: lookups.WithLabelValues("miss"),
		evictions: f.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_token_cache_evictions_total",
			Help: "Verified tokens that were forgotten to make room.",
		}),
	}
}
