package ratelimit

import "context"

// store keeps buckets by key. Its implementations, memory and redisStore, give
// the same answers for the same clock: the tests run one set of cases on both.
type store interface {
	// take charges all items or none, and answers for each in order. The keys
	// of one call are distinct. An error says that nothing is known: the items
	// may have been charged or not.
	take(ctx context.Context, items []item) ([]Result, error)
}

// item is a demand on what is kept under a key.
type item struct {
	key string
	Demand
}
