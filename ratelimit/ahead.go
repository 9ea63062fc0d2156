package ratelimit

import "time"

const (
	// looseDenial is how long a window is taken to be used up before it is asked
	// again: others may give back what they have not used.
	looseDenial = 100 * time.Millisecond
	// aheadMargin is the part of its time in which what was taken ahead is not spent
	// any more: clocks do not run alike, and Redis' may be slewed.
	aheadMargin = 16
)

// ahead is what a share knows of a window. What is taken of one counts in it from then
// on until it leaves, spent or not, and is spent only as long as a request that comes
// then counts in the same place: in a window that follows others until its end, in a
// sliding one until the end of the slot. So whatever is spent is counted where the
// store would have counted it, and the store counts no more than the limit.
// What is not spent is given back to where it was taken; what an instance holds that
// dies, or is answered by a call that is lost, counts as spent.
type ahead struct {
	at  int64 // where the tokens count, as Result.At
	cut bool  // they may be spent for longer than until, if the store says so again

	back   int64 // tokens that were not spent in time
	backAt int64 // where they count

	// What the store said last: what is left beside all shares, when nothing counts any
	// more, and when a request of emptyCost passes.
	left, reset, retry int64
}

// isWindow says whether d is a window that can be taken of ahead.
func isWindow(d Definition) bool {
	switch d.(type) {
	case slidingWindow, counter:
		return true
	}
	return false
}

// samePlace is the time for which what is charged now counts where a later request does.
func samePlace(d Definition, said Result) time.Duration {
	if w, slides := d.(slidingWindow); slides {
		return said.ResetAfter - micros(uint64(w.window))
	}
	return said.ResetAfter
}

// lose keeps tokens that were not spent in time, to give them back.
func (a *ahead) lose(tokens int64) {
	if tokens > 0 {
		a.back, a.backAt = tokens, a.at
	}
}

// change loses what was taken of other windows. It counts as spent.
func (a *ahead) change(s *share) {
	s.tokens, s.reserved = 0, 0
	s.term++
	*a = ahead{}
}

// due says that something is to be given back, or to be asked for again.
func (a *ahead) due(s *share, now int64) bool {
	return a.back > 0 || s.tokens > 0 && (s.idle(now) || now >= s.until) || a.cut && s.ending(now)
}

// learn keeps what the store says is left.
func (a *ahead) learn(said Result, now int64) {
	a.left, a.reset = said.Remaining, now+said.ResetAfter.Microseconds()
}

// denied keeps when the store said that the request passes, and returns until when it
// need not be asked.
func (a *ahead) denied(said Result, now int64) (emptyUntil int64) {
	a.retry = now + said.RetryAfter.Microseconds()
	return min(a.retry, now+looseDenial.Microseconds())
}

// result is what a request is told that was decided here.
func (a *ahead) result(s *share, allowed bool, cost, now int64) Result {
	r := Result{Allowed: allowed, Remaining: min(saturatingSum(a.left, s.tokens), s.by.most()), ResetAfter: since(now, a.reset)}
	switch {
	case allowed:
	case cost > s.by.most():
		r.RetryAfter = Never
	default:
		r.RetryAfter = since(now, a.retry)
	}
	return r
}

// renew is what the store is asked at time now. One that is idle gives back what it
// has. The last call takes, or looks.
func (a *ahead) renew(s *share, to []call, idle bool, now int64) []call {
	s.spendable(now)
	if idle && s.tokens > 0 {
		if a.back > 0 && a.backAt != a.at {
			a.back = 0 // it counts as spent: there is one place to give back to
		}
		a.back, a.backAt, s.tokens = a.back+s.tokens, a.at, 0
	}
	if a.back > 0 {
		to = append(to, call{op: opRefund, items: []item{{key: s.key, Demand: Demand{Definition: s.by, Cost: a.back, At: a.backAt}}}})
		a.back = 0 // told or not: what may have been given back is not given twice
	}
	want := int64(0)
	if !idle && now >= s.pacedUntil && now >= s.emptyUntil {
		want = max(min(s.target()-s.tokens, a.left/2), 0)
	}
	return append(to, call{op: opTake, items: []item{{key: s.key, Demand: Demand{Definition: s.by, Cost: want}}}})
}

// settle takes in the answer to a demand that was sent at a time.
func (a *ahead) settle(s *share, asked Demand, said Result, sent, now int64) {
	if !sameWindows(s.by, asked.Definition) {
		return // what came is of no window now
	}
	a.learn(said, now)
	if !said.Allowed { // others have taken of what was left
		s.pacedUntil = now + s.pace()
		return
	}
	if asked.Cost == 0 && (s.tokens+s.reserved == 0 || said.At != a.at) {
		return // what is held ends when it ends
	}
	if said.At != a.at && s.tokens+s.reserved > 0 {
		a.lose(s.tokens)
		s.tokens, s.reserved = 0, 0
		s.term++
	}
	valid := samePlace(s.by, said)
	a.at, a.cut = said.At, valid > leaseTTL
	s.tokens += asked.Cost
	s.until = sent + (min(valid, leaseTTL) * (aheadMargin - 1) / aheadMargin).Microseconds()
}
