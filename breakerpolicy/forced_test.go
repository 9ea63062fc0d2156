package breakerpolicy

import "testing"

// Kept open, it stays so whatever comes; set free, it is probed at once.
func TestForcedOpen(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		a := s.say("A", report{Force: ForceOpen})
		s.want(a, StateOpen)
		equal(t, "why", *a.Made, transition{Gen: 1, From: StateClosed, To: StateOpen, Why: byOperator})
		s.clock += 3_600_000
		a = s.say("B", report{Claim: wanting, Gen: a.Gen, Counts: window{{0, 100, 0}}})
		s.want(a, StateOpen)
		equal(t, "forced", a.Forced, ForceOpen)
		equal(t, "generation when asked again", s.say("B", report{Force: ForceOpen}).Gen, a.Gen)
		a = s.say("B", report{Force: Auto})
		s.want(a, StateOpen)
		equal(t, "forced", a.Forced, "")
		a = s.say("B", report{Claim: ready})
		s.want(a, StateHalfOpen)
		s.want(s.say("B", report{Results: []result{{a.Granted, succeeded}}}), StateClosed)
	})
}

// Kept closed, it counts and does not open; set free, it counts anew.
func TestForcedClosed(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		s.trip()
		s.want(s.say("B", report{Force: ForceClosed}), StateClosed)
		a := s.ends("A", 100, 100)
		s.want(a, StateClosed)
		equal(t, "counted", a.Now, tally{100, 100})
		a = s.say("B", report{Force: Auto})
		s.want(a, StateClosed)
		equal(t, "counted", a.Now, tally{})
		equal(t, "generation when there is nothing to set free", s.say("B", report{Force: Auto}).Gen, a.Gen)
		s.trip()
	})
}

// A probe that is out when an operator takes over changes nothing.
func TestForcedWhileProbing(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		a := s.say("B", report{Force: ForceClosed})
		s.want(a, StateClosed)
		s.want(s.say("A", report{Results: []result{{probe, failed}}}), StateClosed)
	})
}
