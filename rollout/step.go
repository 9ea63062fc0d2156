package rollout

import (
	"fmt"
	"time"
)

// maxGap bounds the time that one look counts: of what was longer ago, nobody has
// watched the canary.
const maxGap = 10 * time.Second

// Step is the state after both sides did what was seen since the last look, until
// now. It takes a step on, or back, or stays.
func Step(s State, now time.Time, seen Sides) State {
	passed := min(max(now.Sub(s.At), 0), maxGap)
	s.At = now // by another clock, perhaps: one that is behind would hold everything up
	switch s.Phase {
	case Running, Paused:
		s = s.watch(passed, seen)
		return s.decide(now)
	case Returning:
		s.Elapsed += passed
		return s.goBack(now)
	}
	return s
}

// watch takes in what both sides did in a time.
func (s State) watch(passed time.Duration, seen Sides) State {
	spec := s.Spec
	money := moneyBetween(s.Watched, s.Watched+passed, spec.Every)
	if s.Watched == 0 {
		money += atStart
	}
	s.Watched += passed
	if s.Phase == Running {
		s.Elapsed += passed
	}
	s.Seen.add(&seen)
	c, o := &seen.Canary, &seen.Stable
	if spec.ErrorRate > 0 {
		s.OverErrorRate.againstBound(c.Failed, c.Requests, spec.ErrorRate, money)
	}
	if spec.P99 > 0 {
		s.OverP99.againstBound(c.Slow, c.Requests, 1-p99, money)
	}
	s.Errors.add(c.Failed, c.Requests, o.Failed, o.Requests, spec.ErrorTolerance, money)
	return s.watchTail(&seen, money)
}

// p99 is the quantile that is watched.
const p99 = 0.99

const (
	// leastBase is how many latencies of the stable side its p99 is known by.
	leastBase = 100
	// leastSlower is by how much more than the stable side's p99 the canary's may
	// be, whatever the tolerance: less than that is nobody's harm.
	leastSlower = 5 * time.Millisecond
	// tailTolerance is how many times as often as the stable side's requests the
	// canary's may take longer than is tolerated.
	tailTolerance = 1.25
)

// watchTail takes in how many requests took longer than the stable side's p99 and
// the tolerance. That p99 is of what was seen before, so that no request has a part
// in what it is measured by; of both sides' latencies the same bound is asked, at
// the same time, so that what slows both of them says nothing.
func (s State) watchTail(seen *Sides, money float64) State {
	c, o := &seen.Canary.Latency, &seen.Stable.Latency
	if s.Base.Count() >= leastBase {
		typical := s.Base.Quantile(p99)
		over := bucketOf(max(time.Duration(float64(typical)*s.Spec.LatencyTolerance), typical+leastSlower))
		cn, on, cOver, oOver := c.Count(), o.Count(), c.above(over), o.above(over)
		s.Slowness.add(cOver, cn, oOver, on, tailTolerance, money)
		s.Tail.Over = bounds[over]
		s.Tail.Canary += cOver
		s.Tail.CanaryOf += cn
		s.Tail.Stable += oOver
		s.Tail.StableOf += on
	} else {
		s.Slowness.add(0, 0, 0, 0, tailTolerance, money)
	}
	s.Base.add(o)
	return s
}

// decide takes back what does not stand, and a step on where all is as it should be.
func (s State) decide(now time.Time) State {
	spec := s.Spec
	v := judge(s)
	if v.fails != "" {
		return s.takeBack(now, TakenBack, v.fails, spec.BackEvery)
	}
	if s.Phase == Paused {
		return s
	}
	if s.Waits = waits(s, v); s.Waits != "" {
		return s
	}
	stood := fmt.Sprintf("it stood for %s at %d %%: %s", round(s.Elapsed), s.Share, s.numbers())
	if s.Step == spec.last() {
		s = s.moved(Finished, now, s.Share, stood)
		s.Phase = Done
		return s
	}
	next := s.Step + 1
	return s.moved(Advanced, now, spec.Steps[next], stood).atStep(next)
}

// takeBack takes the canary's share away, a step each time or at once.
func (s State) takeBack(now time.Time, kind Kind, why string, every time.Duration) State {
	s.Waits = ""
	if every == 0 || s.Step == 0 || s.Share == 0 {
		s = s.moved(kind, now, 0, why)
		s.Phase = Aborted
		return s
	}
	s.Phase, s.Step, s.Elapsed = Returning, s.Step-1, 0
	return s.moved(kind, now, s.Spec.Steps[s.Step], why)
}

// goBack takes the steps back for which it is time.
func (s State) goBack(now time.Time) State {
	spec := s.Spec
	if s.Elapsed < spec.BackEvery {
		return s
	}
	if s.Step == 0 {
		s = s.moved(WentBack, now, 0, "the last step back")
		s.Phase = Aborted
		return s
	}
	s.Step, s.Elapsed = s.Step-1, 0
	return s.moved(WentBack, now, spec.Steps[s.Step], fmt.Sprintf("a step back each %s", spec.BackEvery))
}
