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
// NewDefinition makes one. Costs and states are as Take gives them; a State that a
// method has returned takes the place of the one that it was made of, as with append.
type Definition interface {
	// kind is the letter by which take.lua knows the algorithm, words are its numbers
	// there, about the time now, and extra is the one of each demand.
	kind() string
	words(to []int64, now int64) []int64
	extra(d Demand) int64
	// plain says that the state is kept as a string in Redis.
	plain() bool
	// most is how much is admitted at once, when nothing has been taken.
	most() int64
	// at is what is left of s at time now. A clock that has been set back stands
	// still until it has caught up.
	at(s State, now int64) State
	// holds says whether current, a state brought to now, has the cost. What is in
	// debt has no cost at all, not even 0.
	holds(current State, cost int64) bool
	// charged is current less the cost, and more than it holds makes a debt.
	charged(current State, d Demand) State
	// returned is current with what d took given back, and never more. ok is false
	// where there is nothing that could be given back: then nothing is to change.
	returned(current State, d Demand) (back State, ok bool)
	// result tells current at time now, charged already where it is to be.
	result(current State, allowed bool, cost, now int64) Result
	// stamp is a time that the charge is counted at, for Result.At: known of the
	// time now and the microseconds until nothing counts any more.
	stamp(now, reset int64) int64
	// ends is the time from which on s says no more than no state does.
	ends(s State) int64
	// forgives is how much would be admitted anew if s were forgotten at time now.
	forgives(s State, now int64) float64
}

// State is what is kept under one key, by whichever algorithm; each says what of it
// it uses. The zero value is what nothing has been taken from.
type State struct {
	Level int64 // a bucket's parts left, below 0 in debt; a window's count
	Unit  int64 // what Level is counted in; 0 in the zero value alone
	Last  int64 // the time of this, in microseconds of the store's clock
	// Entries are a sliding window's slots, or the requests that a log remembers.
	Entries []entry
}

// entry is a slot and its count, or the time and the id of a request.
type entry struct{ at, n int64 }

// Demand is a cost asked of a limit. A negative cost counts as 0: what is given
// back is given back by a refund.
type Demand struct {
	Definition
	Cost int64
	// ID is the first of as many numbers as Cost, by which a log remembers the
	// request. They are the request's own.
	ID int64
	// At is the Result.At of the charge that a refund gives back.
	At int64
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
	// RetryAfter is exact: when nobody else takes and nothing is given back, the
	// same request passes at that time and not a microsecond before. 0 when
	// allowed, Never when the cost is above what the limit ever admits.
	RetryAfter time.Duration
	// ResetAfter is the time until nothing counts any more: until a bucket is full,
	// a sliding window or log empty, or a fixed one over.
	ResetAfter time.Duration
	// At is when a window counts the charge, by the store's clock: what a refund
	// names. Other algorithms need none.
	At int64
}

// NewDefinition is what l is for a caller with allowance a. Errors are definitions
// that config.Load refuses too.
func NewDefinition(l *config.Limit, a config.Allowance) (Definition, error) {
	if l == nil {
		return nil, errors.New("no limit")
	}
	d, err := newDefinition(l.For(a))
	if err != nil {
		return nil, fmt.Errorf("limit %q: %w", l.Name, err)
	}
	return d, nil
}

func newDefinition(of config.LimitPlan) (Definition, error) {
	switch {
	case of.TokenBucket != nil:
		return orError(NewBucket(*of.TokenBucket))
	case of.SlidingWindow != nil:
		return orError(newSlidingWindow(*of.SlidingWindow))
	case of.SlidingLog != nil:
		return orError(newSlidingLog(*of.SlidingLog))
	case of.FixedWindow != nil:
		return orError(newFixedWindow(*of.FixedWindow))
	case of.Quota != nil:
		return orError(newQuota(*of.Quota))
	case of.Concurrency != nil:
		return orError(newConcurrency(*of.Concurrency))
	}
	return nil, errors.New("no algorithm")
}

// orError is d, or no Definition at all beside an error.
func orError[D Definition](d D, err error) (Definition, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Take asks d of a limit in state s at time now (microseconds), and returns the
// state to keep. A denial changes nothing.
func Take(s State, d Demand, now int64) (State, Result) {
	current := d.at(s, now)
	if !d.holds(current, d.Cost) {
		return s, d.tell(current, false, now)
	}
	current = d.charge(current)
	return current, d.tell(current, true, now)
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
			next[i] = d.charge(next[i])
		}
		results[i] = d.tell(next[i], results[i].Allowed, now)
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
	current = d.charge(current)
	return current, d.tell(current, allowed, now)
}

// Refund gives back exactly what d took, where there still is something to give
// back to. The result says what is left then.
func Refund(s State, d Demand, now int64) (State, Result) {
	current := d.at(s, now)
	back, ok := d.returned(current, d)
	if s.Unit == 0 || !ok {
		return s, d.tell(current, true, now)
	}
	return back, d.tell(back, true, now)
}

// charge is current less the cost; a look changes nothing.
func (d Demand) charge(current State) State {
	if d.Cost <= 0 {
		return current
	}
	return d.charged(current, d)
}

// tell is the result of a demand.
func (d Demand) tell(current State, allowed bool, now int64) Result {
	r := d.result(current, allowed, d.Cost, now)
	r.At = d.stamp(now, r.ResetAfter.Microseconds())
	return r
}

// since is the time from one microsecond to a later one.
func since(from, to int64) time.Duration {
	if to <= from {
		return 0
	}
	return micros(uint64(to) - uint64(from))
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
