package breakerpolicy

import "testing"

// Open: nothing moves it before its time, whatever is reported.
func TestOpenStaysForItsTime(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		s.trip()
		for _, at := range []int64{0, 1, 15_000, 29_999} {
			s.clock = firstTime + at
			a := s.say("B", report{Gen: 1, Claim: wanting, Counts: window{{0, 100, 0}}, Results: []result{{"p1", succeeded}, {"", succeeded}}})
			s.want(a, StateOpen)
			equal(t, "time to go", a.In, 30_000-at)
			equal(t, "probe", a.Granted+a.Probe, "")
		}
		s.clock = firstTime + 30_000
		s.want(s.say("B", report{Claim: unready}), StateOpen) // who takes no probe awakes nothing
		a := s.say("B", report{Claim: ready})
		s.want(a, StateHalfOpen)
		equal(t, "transition", *a.Made, transition{Gen: 2, From: StateOpen, To: StateHalfOpen, Why: timeOver, Trips: 1})
	})
}

// It stays open for longer each time that a probe fails, up to the longest time.
func TestOpenBacksOff(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		s.rules.Growth, s.rules.Longest = 2500, 300_000
		open := s.trip().In
		for _, want := range []int64{30_000, 75_000, 187_500, 300_000, 300_000} {
			equal(t, "open for", open, want)
			s.clock += open
			a := s.say("A", report{Claim: ready})
			a = s.say("B", report{Results: []result{{a.Granted, failed}}})
			s.want(a, StateOpen)
			open = a.In
		}
		// One that has closed begins anew.
		s.clock += open
		a := s.say("A", report{Claim: ready})
		s.want(s.say("A", report{Results: []result{{a.Granted, succeeded}}}), StateClosed)
		equal(t, "open for, after it has closed", s.trip().In, 30_000)
	})
}

// The jitter is added, and is what the report says it is.
func TestOpenJitter(t *testing.T) {
	for random, want := range map[int64]int64{0: 30_000, 1: 30_000, 250_000: 31_875, 1_000_000: 37_500} {
		onEachStore(t, func(t *testing.T, s *stage) {
			s.rules.Jitter = 250
			a := s.say("A", report{Random: random, Counts: window{{0, 20, 20}}})
			equal(t, "open for", a.In, want)
		})
	}
}

// A clock that is set back does not keep it open for longer, and one that leaps
// ahead lets one probe out.
func TestOpenWhenTheClockIsSet(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		s.trip()
		s.clock -= 3_600_000
		a := s.say("A", report{Claim: ready})
		s.want(a, StateOpen)
		equal(t, "time to go", a.In, 30_000)
		s.clock += 30_000
		s.want(s.say("A", report{Claim: ready}), StateHalfOpen)
	})
}
