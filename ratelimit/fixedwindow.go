package ratelimit

import (
	"time"

	"github.com/gatewright/gatewright/config"
)

// spans cuts time into windows that follow each other.
type spans interface {
	kind() string
	// span is the window that a time is in: from start on, and before end.
	span(at int64) (start, end int64)
	// spanWords are the numbers by which take.lua knows the windows; now is about its
	// time.
	spanWords(to []int64, now int64) []int64
}

// counter counts in windows that follow each other, and begins each anew: around a
// border up to twice the limit is admitted in one window's time. The zero value is
// not valid; newFixedWindow and newQuota make one.
//
// In a State, Level is the count of the window that Last, the time of the last
// charge, is in. So a changed window keeps what may have been counted in it.
type counter struct {
	limit int64
	spans
}

// fixedWindow is windows of one length, from multiples of it on since the epoch,
// in microseconds.
type fixedWindow int64

// newFixedWindow returns the counter that def describes. Errors are definitions
// that config.Load refuses too.
func newFixedWindow(def config.SlidingWindow) (counter, error) {
	if err := checkWindow(def); err != nil {
		return counter{}, err
	}
	return counter{def.Limit, fixedWindow(time.Duration(def.Window).Microseconds())}, nil
}

func (w fixedWindow) kind() string { return "f" }

func (w fixedWindow) span(at int64) (start, end int64) {
	start = at - at%int64(w)
	return start, start + int64(w)
}

func (w fixedWindow) spanWords(to []int64, _ int64) []int64 { return append(to, int64(w)) }

func (c counter) most() int64 { return c.limit }

// at begins at 0 where the last charge was in an earlier window.
func (c counter) at(s State, now int64) State {
	if s.Unit <= 0 {
		return State{Unit: 1, Last: now}
	}
	now = max(now, s.Last)
	if start, _ := c.span(now); s.Last < start {
		s.Level = 0
	}
	return State{Level: s.Level, Unit: 1, Last: now}
}

func (c counter) holds(current State, cost int64) bool {
	return max(cost, 0) <= c.limit-current.Level
}

func (c counter) charged(current State, d Demand) State {
	current.Level += min(max(d.Cost, 0), maxExact-current.Level)
	return current
}

// returned takes from the window that was charged. One that is over has nothing to
// give back.
func (c counter) returned(current State, d Demand) (State, bool) {
	n := min(max(d.Cost, 0), current.Level)
	start, end := c.span(current.Last)
	current.Level -= n
	return current, n > 0 && start <= d.At && d.At < end
}

func (c counter) result(current State, allowed bool, cost, now int64) Result {
	r := Result{
		Allowed:    allowed,
		Remaining:  max(c.limit-current.Level, 0),
		ResetAfter: since(now, c.ends(current)),
	}
	switch {
	case allowed:
	case cost > c.limit:
		r.RetryAfter = Never
	default:
		r.RetryAfter = r.ResetAfter
	}
	return r
}

func (c counter) stamp(now, reset int64) int64 { return now + reset - 1 }

func (c counter) ends(s State) int64 {
	_, end := c.span(s.Last)
	return end
}

func (c counter) forgives(s State, now int64) float64 { return float64(c.at(s, now).Level) }

func (c counter) words(to []int64, now int64) []int64 {
	return c.spanWords(append(to, c.limit), now)
}

func (c counter) extra(d Demand) int64 { return d.At }

func (c counter) plain() bool { return true }
