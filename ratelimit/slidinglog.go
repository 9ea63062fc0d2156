package ratelimit

import (
	"fmt"
	"slices"
	"time"

	"github.com/gatewright/gatewright/config"
)

// maxLog is the most that a log admits: it remembers each request.
const maxLog = 10_000

// slidingLog remembers the time of each request, once for each unit of its cost:
// exactly limit are admitted in any window. The zero value is not valid;
// newSlidingLog and newConcurrency make one.
//
// In a State, Entries are the requests (time and id), in order of their times. The
// clock never goes behind the last of them.
type slidingLog struct {
	limit  int64
	window int64 // microseconds
	// flights: what is remembered are requests in flight. They are taken out when
	// they end, and forgotten after the window, which is their lease.
	flights bool
}

// newSlidingLog returns the log that def describes. Errors are definitions that
// config.Load refuses too.
func newSlidingLog(def config.SlidingWindow) (slidingLog, error) {
	if err := checkWindow(def); err != nil {
		return slidingLog{}, err
	}
	if def.Limit > maxLog {
		return slidingLog{}, fmt.Errorf("limit %d, must be at most %d", def.Limit, maxLog)
	}
	return slidingLog{limit: def.Limit, window: time.Duration(def.Window).Microseconds()}, nil
}

func (l slidingLog) kind() string {
	if l.flights {
		return "n"
	}
	return "l"
}

func (l slidingLog) most() int64 { return l.limit }

// at drops the requests that have left the window.
func (l slidingLog) at(s State, now int64) State {
	if n := len(s.Entries); n > 0 {
		now = max(now, s.Entries[n-1].at)
	}
	out, _ := slices.BinarySearchFunc(s.Entries, now-l.window, func(e entry, end int64) int {
		if e.at <= end {
			return -1
		}
		return 1
	})
	return State{Unit: 1, Last: now, Entries: s.Entries[out:]}
}

func (l slidingLog) free(current State) int64 { return l.limit - int64(len(current.Entries)) }

func (l slidingLog) holds(current State, cost int64) bool {
	return max(cost, 0) <= l.free(current)
}

// charged goes no further than to the limit: a debt would be as long a list.
func (l slidingLog) charged(current State, d Demand) State {
	for i := range min(d.Cost, l.free(current)) {
		current.Entries = append(current.Entries, entry{current.Last, d.ID + i})
	}
	return current
}

// returned takes out the very requests that were charged.
func (l slidingLog) returned(current State, d Demand) (State, bool) {
	ok := len(current.Entries) > 0
	current.Entries = slices.DeleteFunc(slices.Clone(current.Entries), func(e entry) bool {
		return d.ID <= e.n && e.n-d.ID < d.Cost
	})
	return current, ok
}

func (l slidingLog) result(current State, allowed bool, cost, now int64) Result {
	r := Result{Allowed: allowed, Remaining: max(l.free(current), 0)}
	if len(current.Entries) > 0 {
		r.ResetAfter = since(now, l.ends(current))
	}
	switch {
	case allowed:
	case cost > l.limit:
		r.RetryAfter = Never
	default: // as many must leave as there are too many
		r.RetryAfter = since(now, current.Entries[cost-l.free(current)-1].at+l.window)
	}
	return r
}

func (l slidingLog) stamp(int64, int64) int64 { return 0 } // a refund names ids

func (l slidingLog) ends(s State) int64 {
	if len(s.Entries) == 0 {
		return s.Last
	}
	return s.Entries[len(s.Entries)-1].at + l.window
}

func (l slidingLog) forgives(s State, now int64) float64 {
	return float64(len(l.at(s, now).Entries))
}

func (l slidingLog) words(to []int64, _ int64) []int64 { return append(to, l.limit, l.window) }

func (l slidingLog) extra(d Demand) int64 { return d.ID }

func (l slidingLog) plain() bool { return false }
