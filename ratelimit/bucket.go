package ratelimit

import (
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/gatewright/gatewright/config"
)

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

// has says whether a level is one that the bucket can be at.
func (b Bucket) has(level int64) bool { return level <= b.full() && level >= -b.debt() }

// full is the level of a full bucket, in parts. At most maxExact.
func (b Bucket) full() int64 { return b.capacity * b.unit }

// debt is how far below nothing a level may go, so that what is missing to a full
// bucket is counted exactly too.
func (b Bucket) debt() int64 { return maxExact - b.full() }

func (b Bucket) kind() string { return "b" }
func (b Bucket) plain() bool  { return true }
func (b Bucket) most() int64  { return b.capacity }

// at converts s to this definition, and refills it.
func (b Bucket) at(s State, now int64) State {
	if s.Unit <= 0 {
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
	if s.Level < 0 {
		return -b.owed(uint64(-s.Level), uint64(s.Unit))
	}
	whole, part := s.Level/s.Unit, s.Level%s.Unit
	if whole >= b.capacity {
		return b.full()
	}
	parts, _ := mulDiv(uint64(part), uint64(b.unit), uint64(s.Unit)) // part < Unit, so the quotient is below b.unit
	return whole*b.unit + int64(parts)
}

// owed is a debt in parts of another unit, rounded up.
func (b Bucket) owed(debt, unit uint64) int64 {
	whole, part := debt/unit, debt%unit
	if whole > uint64(b.debt()/b.unit) {
		return b.debt()
	}
	parts, rest := mulDiv(part, uint64(b.unit), unit)
	if rest > 0 {
		parts++
	}
	return min(int64(whole)*b.unit+int64(parts), b.debt())
}

// mulDiv is a*b/c and what remains, for a < c.
func mulDiv(a, b, c uint64) (quotient, rest uint64) {
	hi, lo := bits.Mul64(a, b)
	return bits.Div64(hi, lo, c)
}

func (b Bucket) holds(current State, cost int64) bool {
	return cost <= b.capacity && max(cost, 0)*b.unit <= current.Level
}

func (b Bucket) charged(current State, d Demand) State {
	if d.Cost > (current.Level+b.debt())/b.unit {
		current.Level = -b.debt()
		return current
	}
	current.Level -= max(d.Cost, 0) * b.unit
	return current
}

func (b Bucket) returned(current State, d Demand) (State, bool) {
	if d.Cost >= ceilDiv(b.full()-current.Level, b.unit) {
		current.Level = b.full()
	} else {
		current.Level += max(d.Cost, 0) * b.unit
	}
	return current, true
}

func (b Bucket) result(current State, allowed bool, cost, now int64) Result {
	r := Result{
		Allowed:    allowed,
		Remaining:  max(current.Level, 0) / b.unit,
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
// time for which a clock that was set back stands still.
func (b Bucket) wait(current State, level, now int64) time.Duration {
	if current.Level >= level {
		return 0
	}
	behind := uint64(current.Last) - uint64(now) // current.Last is at least now
	return micros(behind + uint64(ceilDiv(level-current.Level, b.rate)))
}

func (b Bucket) ends(s State) int64 {
	return s.Last + ceilDiv(b.full()-s.Level, b.rate)
}

func (b Bucket) forgives(s State, now int64) float64 {
	return float64(max(b.ends(s)-now, 0)) * float64(b.rate) / float64(b.unit)
}

func (b Bucket) stamp(int64, int64) int64 { return 0 }

func (b Bucket) words(to []int64, _ int64) []int64 { return append(to, b.capacity, b.unit, b.rate) }

func (b Bucket) extra(d Demand) int64 { return d.keep }

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
