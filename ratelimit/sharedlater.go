package ratelimit

import "github.com/gatewright/gatewright/internal/inline"

// laneFor is the lane to the one server that answers calls, if it is up; nil where
// they are several servers', or of several slots, or it takes time to know
func (s *shared) laneFor(calls []call) *lane {
	if len(calls) == 0 {
		return nil
	}
	only := s.only
	if s.redis.cluster != nil {
		if !s.found.Load() {
			return nil
		}
		only = nil
		for _, c := range calls {
			l := s.laneOf(c.items[0].key)
			if only != nil && l != only || len(s.parts(c.items)) > 1 {
				return nil
			}
			only = l
		}
	}
	if !only.up() {
		return nil
	}
	return only
}

// askLater is ask for a request that no goroutine waits with.
func (s *shared) askLater(l *lane, calls []call, then continuation) {
	with, place := s.withDebts(l, calls)
	if place != nil {
		then = &indebted{continuation: then, shared: s, with: with, place: place}
	}
	l.askLater(with, then)
}

// indebted is a request with debts before it.
type indebted struct {
	continuation
	shared *shared
	with   []call
	place  []int
}

func (d *indebted) goOn(replies []replied, answers *inline.Answers) {
	d.continuation.goOn(d.shared.own(d.with, d.place, replies), answers)
}
