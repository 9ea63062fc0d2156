package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/gatewright/gatewright/config"
)

// maxExact is the largest integer up to which a float64, and so a number of
// Redis' Lua, counts without gaps. No level and no time goes above it.
const maxExact = 1 << 53

// Never is the RetryAfter of a request that costs more than its bucket holds:
// no wait lets it pass.
const Never time.Duration = -1

// Bucket is the definition of a token bucket in integers. A rate of E events
// in P microseconds is divided by their greatest common divisor g; with levels
// kept in parts of 1/(P/g) token, one microsecond adds exactly E/g parts.
// Nothing is ever rounded. The zero value is not valid; NewBucket makes one.
type Bucket struct {
	capacity int64 // tokens
	unit     int64 // parts that make a token
	rate     int64 // parts added by a microsecond
}

// NewBucket returns the bucket that def describes. Errors are definitions that
// config.Load refuses too: not positive, not whole microseconds, or too large
// to be counted exactly.
func NewBucket(def config.TokenBucket) (Bucket, error) {
	events, micros := def.Refill.Events, def.Refill.Per.Microseconds()
	switch {
	case def.Capacity <= 0:
		return Bucket{}, fmt.Errorf("capacity %d, must be > 0", def.Capacity)
	case events <= 0:
		return Bucket{}, fmt.Errorf("refill of %d events, must be > 0", events)
	case micros <= 0 || def.Refill.Per%time.Microsecond != 0:
		return Bucket{}, fmt.Errorf("refill per %v, must be whole microseconds and > 0", def.Refill.Per)
	}
	g := gcd(events, micros)
	b := Bucket{capacity: def.Capacity, unit: micros / g, rate: events / g}
	// A single token of 2^53 parts would leave the script no room to convert it.
	if b.unit > maxExact/b.capacity || b.unit > maxExact/2 {
		return Bucket{}, errors.New("capacity times refill period is too large to be counted exactly")
	}
	// A microsecond that adds more than all fills all: the same bucket, and
	// the rate stays exact in Lua.
	b.rate = min(b.rate, b.full())
	return b, nil
}

// full is the level of a full bucket, in parts. At most maxExact.
func (b Bucket) full() int64 { return b.capacity * b.unit }

// State is what is kept of one bucket. The zero value is a full bucket.
type State struct {
	Level int64 // parts left
	Unit  int64 // parts that made a token when this was written; 0 in the zero value
	Last  int64 // time of Level, in microseconds of the store's clock
}

// Result is what one bucket says to one request.
type Result struct {
	// Allowed says that the bucket holds the cost.
	Allowed bool
	// Remaining is the number of whole tokens left.
	Remaining int64
	// RetryAfter is exact: when nobody else takes, the same request passes at
	// that time and not a microsecond before. 0 when allowed, Never when the
	// cost is above the capacity.
	RetryAfter time.Duration
	// ResetAfter is the time until the bucket is full.
	ResetAfter time.Duration
}

// Demand is a cost asked of a bucket. A negative cost counts as 0: nothing is
// ever given back.
type Demand struct {
	Bucket Bucket
	Cost   int64
}

// Take asks bucket b in state s for cost tokens at time now (microseconds),
// and returns the state to keep. A denial changes nothing.
func Take(s State, b Bucket, cost, now int64) (State, Result) {
	current := b.at(s, now)
	if !b.holds(current, cost) {
		return s, b.result(current, false, cost, now)
	}
	charged := b.charged(current, cost)
	return charged, b.result(charged, true, cost, now)
}

// TakeAll asks several buckets at one time: all are charged, or none is. When
// one denies, the results of the others say what they would have said, and the
// states are returned as they came. states[i] belongs to demands[i].
func TakeAll(states []State, demands []Demand, now int64) ([]State, []Result, bool) {
	next := make([]State, len(demands))
	results := make([]Result, len(demands))
	allowed := true
	for i, d := range demands {
		next[i] = d.Bucket.at(states[i], now)
		results[i].Allowed = d.Bucket.holds(next[i], d.Cost)
		allowed = allowed && results[i].Allowed
	}
	for i, d := range demands {
		if allowed {
			next[i] = d.Bucket.charged(next[i], d.Cost)
		}
		results[i] = d.Bucket.result(next[i], results[i].Allowed, d.Cost, now)
	}
	if !allowed {
		return states, results, false
	}
	return next, results, true
}

// at is s brought to time now: converted to this definition, and refilled. A
// clock that has jumped back stands still until it has caught up.
func (b Bucket) at(s State, now int64) State {
	if s.Unit <= 0 || s.Level < 0 {
		return State{Level: b.full(), Unit: b.unit, Last: now}
	}
	level, at := b.converted(s), max(now, s.Last)
	elapsed := uint64(at) - uint64(s.Last) // the true difference, whatever the signs
	if missing := b.full() - level; elapsed >= uint64(ceilDiv(missing, b.rate)) {
		level = b.full()
	} else {
		level += int64(elapsed) * b.rate // less than missing
	}
	return State{Level: level, Unit: b.unit, Last: at}
}

// converted is the level of s in parts of this definition, rounded down and cut
// to the capacity: a changed definition never gives tokens.
func (b Bucket) converted(s State) int64 {
	whole, part := s.Level/s.Unit, s.Level%s.Unit
	if whole >= b.capacity {
		return b.full()
	}
	hi, lo := bits.Mul64(uint64(part), uint64(b.unit))
	parts, _ := bits.Div64(hi, lo, uint64(s.Unit)) // part < Unit, so the quotient is below b.unit
	return whole*b.unit + int64(parts)
}

// holds says whether current, a state brought to now, has cost tokens.
func (b Bucket) holds(current State, cost int64) bool {
	return cost <= b.capacity && max(cost, 0)*b.unit <= current.Level
}

// charged is current less cost tokens, which it holds.
func (b Bucket) charged(current State, cost int64) State {
	current.Level -= max(cost, 0) * b.unit
	return current
}

// result tells current at time now: charged already where allowed is true.
func (b Bucket) result(current State, allowed bool, cost, now int64) Result {
	r := Result{
		Allowed:    allowed,
		Remaining:  current.Level / b.unit,
		ResetAfter: b.wait(current, b.full(), now),
	}
	switch {
	case allowed:
	case cost > b.capacity:
		r.RetryAfter = Never
	default:
		r.RetryAfter = b.wait(current, cost*b.unit, now)
	}
	return r
}

// wait is the time from now until current has risen to level. It includes the
// time for which a clock that jumped back stands still.
func (b Bucket) wait(current State, level, now int64) time.Duration {
	if current.Level >= level {
		return 0
	}
	behind := uint64(current.Last) - uint64(now) // current.Last is at least now
	rising := uint64(ceilDiv(level-current.Level, b.rate))
	const longest = math.MaxInt64 / uint64(time.Microsecond)
	if behind > longest || behind+rising > longest {
		return math.MaxInt64
	}
	return time.Duration(behind+rising) * time.Microsecond
}

// ceilDiv is a/b rounded up, for a >= 0 and b > 0.
func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
