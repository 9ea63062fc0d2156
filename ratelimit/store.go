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

// item is a demand on the bucket with a key.
type item struct {
	key string
	Demand
	// keep is how long, in microseconds, the bucket is kept at least after a
	// charge. An absent bucket is a full one, and it may be asked for next by
	// another definition, that takes longer to fill.
	keep int64
}
