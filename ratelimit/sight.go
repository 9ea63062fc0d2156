package ratelimit

import (
	"math"
	"time"
)

// sight is a limit in Redis as it was when Redis was last asked, less what was taken
// here since. Times are of the process' clock, in microseconds.
type sight interface {
	// learn takes in what Redis said to a demand of by, when it knew nothing of what
	// is owed here.
	learn(by Definition, said Result, owed, now int64)
	// denied takes in that Redis has denied a request of a cost, as it said.
	denied(said Result, cost, now int64)
	// dim says that Redis has to be asked anew before by is asked for.
	dim(by Definition, now int64) bool
	// holds says whether there is the cost.
	holds(by Definition, cost, now int64) bool
	// denies says that a request of a cost, which is not there, is known to be denied;
	// else Redis is to decide.
	denies(by Definition, cost, now int64) bool
	// add takes the cost, or gives back what is below 0.
	add(by Definition, cost, now int64)
	result(by Definition, allowed bool, cost, now int64) Result
	// old says that a denial is of so long ago that Redis is to be looked at again.
	old(now int64) bool
}

// newSight is what is known of a limit of this algorithm: nothing, until it learns.
func newSight(by Definition) sight {
	if _, ok := by.(Bucket); ok {
		return &bucketSight{}
	}
	return &windowSight{}
}

// longestSight is after how long Redis is asked again for what is known to be denied:
// so late may be noticed that there is more than was to be expected, as when its clock
// was set, or others have given something back.
const longestSight = time.Second

// bucketSight is a token bucket, which refills on the clock of the process.
type bucketSight struct {
	level   State
	learned int64
}

func (s *bucketSight) learn(by Definition, said Result, owed, now int64) {
	b := by.(Bucket)
	missing := int64(maxExact)
	if micros := said.ResetAfter.Microseconds(); micros < missing/b.rate {
		missing = micros * b.rate // at most a microsecond's parts too many
	}
	s.level, s.learned = State{Level: b.full() - missing, Unit: b.unit, Last: now}, now
	s.add(by, owed, now)
}

func (s *bucketSight) denied(Result, int64, int64) {} // the level says it

func (s *bucketSight) dim(Definition, int64) bool { return false }

// now brings the level to a time, and to the definition.
func (s *bucketSight) now(by Definition, now int64) Bucket {
	b := by.(Bucket)
	s.level = b.at(s.level, now)
	return b
}

func (s *bucketSight) holds(by Definition, cost, now int64) bool {
	return s.now(by, now).holds(s.level, cost)
}

func (s *bucketSight) denies(Definition, int64, int64) bool { return true }

func (s *bucketSight) add(by Definition, cost, now int64) {
	b := s.now(by, now)
	if cost < 0 {
		s.level, _ = b.returned(s.level, Demand{Definition: b, Cost: -cost})
	} else {
		s.level = b.charged(s.level, Demand{Definition: b, Cost: cost})
	}
}

func (s *bucketSight) result(by Definition, allowed bool, cost, now int64) Result {
	return s.now(by, now).result(s.level, allowed, cost, now)
}

func (s *bucketSight) old(now int64) bool { return now-s.learned >= longestSight.Microseconds() }

// windowSight is a window. Which of its requests leave it when is known to Redis
// alone: what it counts stays counted here until Redis says less, and Redis is asked
// before a request is denied.
type windowSight struct {
	by    Definition // by which it was learned
	count int64      // at least so much is counted in Redis, or taken here
	// more says that Redis may count more than that, which it does not tell where there
	// is nothing left.
	more  bool
	ends  int64 // when windows that follow each other are at the next one
	reset int64 // when nothing counts any more

	deniedCost  int64 // a request of it is denied
	deniedUntil int64 // at least until then, by what Redis said
	retry       int64 // and that is when it passes
}

func (s *windowSight) learn(by Definition, said Result, owed, now int64) {
	s.by, s.more = by, said.Remaining == 0
	s.count = by.most() - said.Remaining + owed
	s.reset, s.ends = now+said.ResetAfter.Microseconds(), math.MaxInt64
	if _, follow := by.(counter); follow {
		s.ends = s.reset
	}
}

func (s *windowSight) denied(said Result, cost, now int64) {
	s.deniedCost, s.retry = cost, now+said.RetryAfter.Microseconds()
	s.deniedUntil = min(s.retry, now+longestSight.Microseconds())
}

// dim also is what has been learned of a window that is over, of other windows, and
// what is not known of a larger limit.
func (s *windowSight) dim(by Definition, now int64) bool {
	return now >= s.ends || !sameWindows(by, s.by) || s.more && by.most() > s.by.most()
}

// sameWindows says whether two definitions differ by their limits at most.
func sameWindows(a, b Definition) bool {
	switch a := a.(type) {
	case slidingWindow:
		b, ok := b.(slidingWindow)
		return ok && a.window == b.window
	case counter:
		b, ok := b.(counter)
		return ok && a.spans == b.spans
	}
	return false
}

func (s *windowSight) holds(by Definition, cost, _ int64) bool { return cost <= by.most()-s.count }

// denies: one that costs more than another which is denied is denied for longer, where
// not all leaves at once.
func (s *windowSight) denies(by Definition, cost, now int64) bool {
	switch {
	case cost > by.most():
		return true
	case now >= s.deniedUntil || by != s.by:
		return false
	}
	_, follow := by.(counter)
	return cost == s.deniedCost || follow && cost > s.deniedCost
}

func (s *windowSight) add(by Definition, cost, now int64) {
	s.count += cost
	if w, slides := by.(slidingWindow); slides && cost > 0 {
		s.reset = max(s.reset, now+w.window)
	}
}

func (s *windowSight) result(by Definition, allowed bool, cost, now int64) Result {
	r := Result{Allowed: allowed, Remaining: min(max(by.most()-s.count, 0), by.most()), ResetAfter: since(now, s.reset)}
	switch {
	case allowed:
	case cost > by.most():
		r.RetryAfter = Never
	default:
		r.RetryAfter = since(now, s.retry)
	}
	return r
}

func (s *windowSight) old(int64) bool { return false } // it is asked before it denies
