package config

import (
	"math/bits"
	"time"
)

const (
	maxCapacity = 1_000_000_000
	// maxExact is up to where a Lua number, a double, holds every integer.
	maxExact = 1 << 53
)

func (c *checker) limit(at *place, l *Limit) {
	c.name(at, l.Name)
	c.keyParts(at.key("key"), l.Key)
	c.algorithm(at, l.Own())
	c.ipv6Prefix(at.key("ipv6Prefix"), l)
	c.cost(at.key("cost"), l.Cost)
	c.fixedCost(at.key("cost"), l)
	oneOf(c, at.key("mode"), l.Mode, ModeEnforce, ModeShadow)
	c.plans(at.key("plans"), l)
	c.consistency(at.key("consistency"), l)
	oneOf(c, at.key("onStoreFailure"), l.OnStoreFailure, FailLocal, FailAllow, FailDeny)
}

func (c *checker) tokenBucket(at *place, b *TokenBucket) {
	c.between(at.key("capacity"), 1, b.Capacity, maxCapacity)
	c.between(at.key("refill"), 1, b.Refill.Events, maxCapacity)
	if b.Capacity >= 1 && b.Capacity <= maxCapacity && b.Refill.Events >= 1 && !exact(b) {
		c.obey(at, inexactRule)
	}
}

// inexactRule is broken by a bucket of too many parts.
const inexactRule = "must have a capacity × refill time that Redis can count exactly (at most 2^53 parts of a token): " +
	"take a smaller capacity, or a refill over a shorter time"

// exact tells whether a bucket can be counted without rounding. Refill adds
// events/per tokens a microsecond; in parts of a token of which each
// microsecond adds a whole number, a token has per/gcd(events, per) parts.
func exact(b *TokenBucket) bool {
	per := uint64(b.Refill.Per / time.Microsecond)
	parts := per / gcd(uint64(b.Refill.Events), per)
	high, low := bits.Mul64(uint64(b.Capacity), parts)
	return high == 0 && low <= maxExact
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, 1)
}
