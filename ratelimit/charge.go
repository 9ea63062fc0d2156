package ratelimit

import (
	"errors"
	"fmt"

	"github.com/gatewright/gatewright/config"
)

// NoCost is the cost of a charge that looks at a bucket and takes nothing.
const NoCost = -1

// Charge is one limit to be charged for one request.
type Charge struct {
	// Limit is what is charged. Its state is kept under its name.
	Limit *config.Limit
	// Key holds the values of the limit's key, in the order of Limit.Key. A
	// value that the request does not have is empty.
	Key []string
	// Cost is in tokens. 0 means 1; NoCost, and all below, takes none.
	Cost int64
}

// tokens is the cost that is taken.
func (c Charge) tokens() int64 {
	if c.Cost == 0 {
		return 1
	}
	return max(c.Cost, 0)
}

// basket is the charges of one request, those on one bucket added up: two that
// name the same bucket need twice the tokens.
type basket struct {
	items  []item
	limits []*config.Limit // of each item
	of     []int           // the item of each charge
}

// newBasket fails on a limit that config.Load would have refused.
func newBasket(charges []Charge) (*basket, error) {
	b := &basket{of: make([]int, len(charges))}
	for i, c := range charges {
		if c.Limit == nil || c.Limit.TokenBucket == nil {
			return nil, errors.New("a limit without a token bucket")
		}
		bucket, err := NewBucket(*c.Limit.TokenBucket)
		if err != nil {
			return nil, fmt.Errorf("limit %q: %w", c.Limit.Name, err)
		}
		b.of[i] = b.add(c.Limit, item{
			key:    bucketKey(c.Limit, c.Key),
			Demand: Demand{Bucket: bucket, Cost: c.tokens()},
		})
	}
	return b, nil
}

// add returns the place of the item, or of the one with its key.
func (b *basket) add(limit *config.Limit, it item) int {
	for i := range b.items {
		if b.items[i].key == it.key {
			b.items[i].Cost = saturatingSum(b.items[i].Cost, it.Cost)
			return i
		}
	}
	b.items = append(b.items, it)
	b.limits = append(b.limits, limit)
	return len(b.items) - 1
}

// saturatingSum is a+b for a, b >= 0, or the largest number.
func saturatingSum(a, b int64) int64 {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return 1<<63 - 1
}
