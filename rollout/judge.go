package rollout

import (
	"fmt"
	"strings"
)

const (
	// falseAlarms is how many rollouts of a canary that is as good as the stable
	// side may be taken back by the comparison with it: one in 200 at most, over all
	// steps and however often it is looked at.
	falseAlarms = 0.005
	// boundAlarms is the same of one step of a canary whose error rate, or share of
	// slow requests, is exactly the bound, or as many times that of the stable side as is
	// tolerated. Of one that is well below it there are far fewer.
	boundAlarms = 0.05
	// doubt is the score at which a canary is not taken back yet, and not taken on.
	doubt = 50
)

// verdict is how a canary stands.
type verdict struct {
	// fails is why it does not stand, in words; empty is not known to fail.
	fails string
	// doubts is why nobody can tell yet.
	doubts string
}

// judge says how the canary stands, by what was seen in the step.
func judge(s State) verdict {
	spec := s.Spec
	var fails, doubts []string
	note := func(score, limit float64, exceeds bool, why string) {
		switch {
		case !exceeds:
		case score >= limit:
			fails = append(fails, why+"; "+chance(score))
		default:
			doubts = append(doubts, why)
		}
	}
	if spec.ErrorRate > 0 {
		c := &s.Seen.Canary
		note(s.OverErrorRate.Score(), 1/boundAlarms, c.ErrorRate() > spec.ErrorRate,
			fmt.Sprintf("%s, and at most %s may", failed("it", c), percent(spec.ErrorRate)))
	}
	if spec.P99 > 0 {
		c := &s.Seen.Canary
		note(s.OverP99.Score(), 1/boundAlarms, share(c.Slow, c.Requests) > 1-p99,
			fmt.Sprintf("%d of its %d requests (%s) took longer than %s, and at most 1 %% may", c.Slow, c.Requests, percent(share(c.Slow, c.Requests)), spec.P99))
	}
	compare := func(found *Comparison, worse bool, why string) {
		atAll, beyond := found.AtAll.Score(), found.Beyond.Score()
		switch {
		case !worse:
		case atAll >= s.alarmScore() && beyond >= 1/boundAlarms:
			fails = append(fails, why+"; "+chance(atAll))
		case beyond >= doubt: // being worse by a little is no doubt: equal sides are, half of the time
			doubts = append(doubts, why)
		}
	}
	c, o := &s.Seen.Canary, &s.Seen.Stable
	compare(&s.Errors, c.ErrorRate() > o.ErrorRate(),
		fmt.Sprintf("%s, while %s", failed("it", c), failed("the stable side", o)))
	t := s.Tail
	compare(&s.Slowness, share(t.Canary, t.CanaryOf) > 1-p99,
		fmt.Sprintf("%d of its %d requests (%s) took longer than %s, %g times the p99 of the stable side, and %d of %d (%s) of the stable side's did",
			t.Canary, t.CanaryOf, percent(share(t.Canary, t.CanaryOf)), round(t.Over), spec.LatencyTolerance, t.Stable, t.StableOf, percent(share(t.Stable, t.StableOf))))
	switch {
	case len(fails) == 0:
	case c.Requests < spec.MinRequests:
		doubts = append(doubts, fails...)
	default:
		return verdict{fails: strings.Join(fails, "; ")}
	}
	return verdict{doubts: strings.Join(doubts, "; ")}
}

// alarmScore is the score from which on a canary is worse than the stable side beyond
// doubt. Half of the false alarms are left to the first step, where there are the
// fewest requests to judge by, and the rest to the others; of each, half is of errors
// and half of latencies.
func (s State) alarmScore() float64 {
	alarms := falseAlarms
	if n := float64(len(s.Spec.Steps)); n > 1 {
		alarms /= 2
		if s.Step > 0 {
			alarms /= n - 1
		}
	}
	return 2 / alarms
}

// waits is what a running rollout waits for, or "": it is time to go on.
func waits(s State, v verdict) string {
	spec := s.Spec
	var for_ []string
	if left := spec.Every - s.Elapsed; left > 0 {
		for_ = append(for_, fmt.Sprintf("the end of the step, in %s", round(left)))
	}
	if n := s.Seen.Canary.Requests; n < spec.MinRequests {
		for_ = append(for_, fmt.Sprintf("requests: the canary has had %d of at least %d in this step", n, spec.MinRequests))
	}
	if v.doubts != "" {
		for_ = append(for_, "certainty: "+v.doubts)
	}
	return strings.Join(for_, "; ")
}
