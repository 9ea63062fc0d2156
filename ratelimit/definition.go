package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gatewright/gatewright/config"
)

// maxExact is the largest integer up to which a float64, and so a number of
// Redis' Lua, counts without gaps. No count and no time goes above it.
const maxExact = 1 << 53

// Never is the RetryAfter of a request that costs more than its limit ever
// admits: no wait lets it pass.
const Never time.Duration = -1

// Definition is what a limit is for one caller: an algorithm and its numbers.
// Each is pure integer arithmetic in a file of its own, which take.lua repeats.
// NewDefinition makes one.
type Definition interface {
	// most is how much is admitted at once, when nothing has been taken.
	most() int64
	// at is what is left of s at time now. A clock that has been set back stands
	// still until it has caught up.
	at(s State, now int64) State
	// holds says whether current, a state brought to now, has the cost.
	holds(current State, cost int64) bool
	// charged is current less the cost, and more than it holds makes a debt.
	charged(current State, d Demand) State
	// returned is current with what d took given back, and never more.
	returned(current State, d Demand) State
	// result tells current at time now, charged already where it is to be.
	result(current State, allowed bool, cost, now int64) Result
	// ends is the time from which on s says no more than no state does.
	ends(s State) int64
	// forgives is how much would be admitted anew if s were forgotten at time now.
	forgives(s State, now int64) float64
	// words are the kind and the four numbers by which take.lua knows d.
	words(d Demand) (kind string, p [4]int64)
}

// State is what is kept under one key, by whichever algorithm. The zero value is
// what nothing has been taken from.
type State struct {
	Level int64 // a bucket's parts left: below 0 it is in debt
	Unit  int64 // a bucket's parts that made a token when this was written; 0 in the zero value
	Last  int64 // the time of this, in microseconds of the store's clock
}

// Demand is a cost asked of a limit. A negative cost counts as 0: what is given
// back is given back by a refund.
type Demand struct {
	Definition
	Cost int64
	// keep is how long, in microseconds, a bucket's state is kept at least after
	// it was charged: what is not there is full, and the bucket may be asked for
	// next by another definition, that takes longer to fill.
	keep int64
}

// Result is what one limit says to one request.
type Result struct {
	// Allowed says that the limit has the cost.
	Allowed bool
	// Remaining is how much is left, in whole requests of cost 1.
	Remaining int64
	// RetryAfter is exact: when nobody else takes, the same request passes at
	// that time and not a microsecond before. 0 when allowed, Never when the
	// cost is above what the limit ever admits.
	RetryAfter time.Duration
	// ResetAfter is the time until nothing counts any more: until a bucket is
	// full, or a window empty.
	ResetAfter time.Duration
}

// NewDefinition is what l is for a caller with allowance a. Errors are definitions
// that config.Load refuses too.
func NewDefinition(l *config.Limit, a config.Allowance) (Definition, error) {
	if l == nil {
		return nil, errors.New("no limit")
	}
	b := l.BucketFor(a)
	if b == nil {
		return nil, fmt.Errorf("limit %q has no algorithm", l.Name)
	}
	bucket, err := NewBucket(*b)
	if err != nil {
		return nil, fmt.Errorf("limit %q: %w", l.Name, err)
	}
	return bucket, nil
}

// Take asks d of a limit in state s at time now (microseconds), and returns the
// state to keep. A denial changes nothing.
func Take(s State, d Demand, now int64) (State, Result) {
	current := d.at(s, now)
	if !d.holds(current, d.Cost) {
		return s, d.result(current, false, d.Cost, now)
	}
	current = d.charged(current, d)
	return current, d.result(current, true, d.Cost, now)
}

// TakeAll asks several limits at one time: all are charged, or none is. When one
// denies, the results of the others say what they would have said, and the states
// are returned as they came. states[i] belongs to demands[i].
func TakeAll(states []State, demands []Demand, now int64) ([]State, []Result, bool) {
	next := make([]State, len(demands))
	results := make([]Result, len(demands))
	allowed := true
	for i, d := range demands {
		next[i] = d.at(states[i], now)
		results[i].Allowed = d.holds(next[i], d.Cost)
		allowed = allowed && results[i].Allowed
	}
	for i, d := range demands {
		if allowed {
			next[i] = d.charged(next[i], d)
		}
		results[i] = d.result(next[i], results[i].Allowed, d.Cost, now)
	}
	if !allowed {
		return states, results, false
	}
	return next, results, true
}

// Force charges d whether the limit has the cost or not, so that the limit may be
// in debt. The result says whether it had.
func Force(s State, d Demand, now int64) (State, Result) {
	current := d.at(s, now)
	allowed := d.holds(current, d.Cost)
	current = d.charged(current, d)
	return current, d.result(current, allowed, d.Cost, now)
}

// Refund gives back exactly what d took, where there still is something to give
// back to. The result says what is left then.
func Refund(s State, d Demand, now int64) (State, Result) {
	current := d.returned(d.at(s, now), d)
	r := d.result(current, true, d.Cost, now)
	if s.Unit == 0 {
		return s, r
	}
	return current, r
}

// micros is n microseconds, or the longest duration there is.
func micros(n uint64) time.Duration {
	if n > math.MaxInt64/uint64(time.Microsecond) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Microsecond
}

// ceilDiv is a/b rounded up, for a >= 0 and b > 0.
func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}
