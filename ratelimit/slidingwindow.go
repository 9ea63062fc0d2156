package ratelimit

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gatewright/gatewright/config"
)

// slotsPerWindow is into how many slots a sliding window is cut.
const slotsPerWindow = 60

// slidingWindow counts in slots of a sixtieth of the window. All slots that
// overlap the window up to now count as a whole, so that never more than limit is
// admitted in any window: what counts too long is a slot, a sixtieth, at most. The
// zero value is not valid; newSlidingWindow makes one.
//
// In a State, Entries are the slots that have been charged (index and count), in
// order, Level is the sum of their counts, and Unit the window that they were
// counted for.
type slidingWindow struct {
	limit  int64
	window int64 // microseconds
	slot   int64 // microseconds: whole milliseconds
}

// newSlidingWindow returns the window that def describes. Errors are definitions
// that config.Load refuses too.
func newSlidingWindow(def config.SlidingWindow) (slidingWindow, error) {
	if err := checkWindow(def); err != nil {
		return slidingWindow{}, err
	}
	window := time.Duration(def.Window).Microseconds()
	return slidingWindow{limit: def.Limit, window: window, slot: slotOf(window)}, nil
}

// checkWindow holds the numbers of a window to what can be counted exactly.
func checkWindow(def config.SlidingWindow) error {
	w := time.Duration(def.Window)
	switch {
	case def.Limit <= 0 || def.Limit > maxExact:
		return fmt.Errorf("limit %d, must be from 1 to 2^53", def.Limit)
	case w <= 0 || w%time.Millisecond != 0:
		return fmt.Errorf("window %v, must be whole milliseconds and > 0", w)
	}
	return nil
}

// slotOf is a sixtieth of the window, rounded up to a whole millisecond.
func slotOf(window int64) int64 { return ceilDiv(window, slotsPerWindow*1000) * 1000 }

func (w slidingWindow) kind() string { return "w" }
func (w slidingWindow) most() int64  { return w.limit }

// at drops the slots that have left the window.
func (w slidingWindow) at(s State, now int64) State {
	if s.Unit <= 0 {
		return State{Unit: w.window, Last: now}
	}
	s = w.converted(s)
	s.Last = max(now, s.Last)
	for oldest := w.oldest(s.Last); len(s.Entries) > 0 && s.Entries[0].at < oldest; s.Entries = s.Entries[1:] {
		s.Level -= s.Entries[0].n
	}
	return s
}

// oldest is the index of the first slot that overlaps the window up to now.
func (w slidingWindow) oldest(now int64) int64 { return max(now-w.window, 0) / w.slot }

// gone is the time at which a slot has left the window.
func (w slidingWindow) gone(slot int64) int64 { return (slot+1)*w.slot + w.window }

// converted is s in the slots of this definition. What a slot counted is counted
// as late as it can have been, so that a changed window forgives nothing that it
// knows of.
func (w slidingWindow) converted(s State) State {
	if s.Unit == w.window {
		return s
	}
	was, newest := slotOf(s.Unit), s.Last/w.slot
	entries := make([]entry, 0, len(s.Entries))
	for _, e := range s.Entries {
		slot := min(((e.at+1)*was-1)/w.slot, newest)
		if i := len(entries) - 1; i >= 0 && entries[i].at == slot {
			entries[i].n += e.n
		} else {
			entries = append(entries, entry{slot, e.n})
		}
	}
	return State{Level: s.Level, Unit: w.window, Last: s.Last, Entries: entries}
}

func (w slidingWindow) holds(current State, cost int64) bool {
	return max(cost, 0) <= w.limit-current.Level
}

func (w slidingWindow) charged(current State, d Demand) State {
	cost := min(max(d.Cost, 0), maxExact-current.Level)
	slot := current.Last / w.slot
	if i := len(current.Entries) - 1; i >= 0 && current.Entries[i].at == slot {
		current.Entries[i].n += cost
	} else {
		current.Entries = append(current.Entries, entry{slot, cost})
	}
	current.Level += cost
	return current
}

// returned takes from the slot that was charged. A slot that has left the window
// has nothing to give back.
func (w slidingWindow) returned(current State, d Demand) (State, bool) {
	i, found := slices.BinarySearchFunc(current.Entries, d.At/w.slot, func(e entry, slot int64) int { return cmp.Compare(e.at, slot) })
	if !found || d.At < 0 {
		return current, false
	}
	n := min(max(d.Cost, 0), current.Entries[i].n)
	current.Entries[i].n -= n
	current.Level -= n
	// The time of this is noted as that of a charge is.
	return w.charged(current, Demand{}), n > 0
}

func (w slidingWindow) result(current State, allowed bool, cost, now int64) Result {
	r := Result{Allowed: allowed, Remaining: max(w.limit-current.Level, 0)}
	if current.Level > 0 {
		r.ResetAfter = since(now, w.ends(current))
	}
	switch {
	case allowed:
	case cost > w.limit:
		r.RetryAfter = Never
	default:
		r.RetryAfter = since(now, w.frees(current, current.Level+cost-w.limit))
	}
	return r
}

// frees is the time at which so many have left the window.
func (w slidingWindow) frees(current State, need int64) int64 {
	for _, e := range current.Entries {
		if need -= e.n; need <= 0 {
			return w.gone(e.at)
		}
	}
	return current.Last // not reached: the slots count no less than the level
}

func (w slidingWindow) stamp(now, reset int64) int64 { return now + reset - w.window - 1 }

func (w slidingWindow) ends(s State) int64 {
	if len(s.Entries) == 0 {
		return s.Last
	}
	return w.gone(s.Entries[len(s.Entries)-1].at)
}

func (w slidingWindow) forgives(s State, now int64) float64 { return float64(w.at(s, now).Level) }

func (w slidingWindow) words(to []int64, _ int64) []int64 {
	return append(to, w.limit, w.window, w.slot)
}

func (w slidingWindow) extra(d Demand) int64 { return d.At }

func (w slidingWindow) plain() bool { return false }
