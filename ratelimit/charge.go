package ratelimit

import (
	"math"

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
	// Allowance is what the limit is for this caller. The size of a bucket is no
	// part of its name: a caller whose allowance changes keeps the bucket, with
	// the tokens that are in it and fit.
	Allowance config.Allowance
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
	known  []*knownLimit   // what these come to
	of     []int           // the item of each charge
}

// newBasket fails on a limit that config.Load would have refused.
func newBasket(charges []Charge, limits *knownLimits) (*basket, error) {
	n := len(charges)
	b := &basket{items: make([]item, 0, n), limits: make([]*config.Limit, 0, n), known: make([]*knownLimit, 0, n), of: make([]int, 0, n)}
	return b, b.fill(charges, limits)
}

// fill makes b that of the charges, in the memory that it has.
func (b *basket) fill(charges []Charge, limits *knownLimits) error {
	b.items, b.limits, b.known, b.of = b.items[:0], b.limits[:0], b.known[:0], b.of[:0]
	for _, c := range charges {
		known, err := limits.limit(c.Limit)
		if err != nil {
			return err
		}
		d, err := known.definition(c.Limit, c.Allowance)
		if err != nil {
			return err
		}
		b.of = append(b.of, b.add(c.Limit, known, item{
			key:    bucketKey(c.Limit, c.Key, c.Allowance),
			Demand: Demand{Definition: d, Cost: c.tokens(), keep: known.keep},
		}))
	}
	return nil
}

// each is the verdicts of the charges, from those of the items.
func (b *basket) each(verdicts []verdict) []verdict {
	if len(b.of) == len(b.items) { // each charge has an item of its own, in the same order
		return verdicts
	}
	each := make([]verdict, len(b.of))
	for i, j := range b.of {
		each[i] = verdicts[j]
	}
	return each
}

// add returns the place of the item, or of the one with its key.
func (b *basket) add(limit *config.Limit, known *knownLimit, it item) int {
	for i := range b.items {
		if b.items[i].key == it.key {
			b.items[i].Cost = saturatingSum(b.items[i].Cost, it.Cost)
			b.items[i].keep = max(b.items[i].keep, it.keep)
			return i
		}
	}
	b.items = append(b.items, it)
	b.limits = append(b.limits, limit)
	b.known = append(b.known, known)
	return len(b.items) - 1
}

// longestFill is the time, in microseconds, in which an empty bucket of the limit
// is full by every one of its plans: 0 where it has none, and one definition says
// when its buckets are full.
func longestFill(l *config.Limit) int64 {
	longest := 0.0
	for _, p := range l.Plans {
		for _, b := range []*config.TokenBucket{l.TokenBucket, p.TokenBucket} {
			if b != nil && b.Refill.Events > 0 {
				longest = max(longest, float64(b.Capacity)/float64(b.Refill.Events)*float64(b.Refill.Per.Microseconds()))
			}
		}
	}
	return int64(math.Ceil(min(longest, maxExact)))
}

// saturatingSum is a+b for a, b >= 0, or the largest number.
func saturatingSum(a, b int64) int64 {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return 1<<63 - 1
}
