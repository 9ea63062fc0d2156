package breakerpolicy

import "testing"

// Half-open: one instance has the probe, and all others have none, however often
// they ask.
func TestHalfOpenGivesOutOneProbe(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		for range 5 {
			for _, by := range []string{"B", "C"} {
				equal(t, by+" has", s.say(by, report{Claim: wanting}).Granted, "")
			}
			equal(t, "A has", s.say("A", report{Claim: ready, Held: probe}).Granted, probe)
			equal(t, "A has, when a request has taken it", s.say("A", report{Claim: wanting, Out: probe}).Granted, "")
			s.clock += 200
		}
	})
}

// Its success closes, its failure opens again; and another probe's changes nothing.
func TestHalfOpenVerdicts(t *testing.T) {
	for _, c := range []struct {
		verdict verdict
		want    State
		why     reason
	}{{succeeded, StateClosed, probesSucceeded}, {failed, StateOpen, probeFailed}} {
		onEachStore(t, func(t *testing.T, s *stage) {
			probe := s.halfOpen()
			s.want(s.say("B", report{Gen: 2, Counts: window{{0, 1000, 1000}}, Results: []result{{"other", c.verdict}}}), StateHalfOpen)
			a := s.say("B", report{Results: []result{{probe, c.verdict}}}) // whoever hears of it
			s.want(a, c.want)
			equal(t, "why", a.Made.Why, c.why)
			again := s.say("A", report{Results: []result{{probe, failed}}})
			equal(t, "generation after the verdict was told again", again.Gen, a.Gen)
		})
	}
}

// With several probes they go one after the other, and must succeed in a row.
func TestHalfOpenProbesInARow(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		s.rules.Probes = 3
		probe := s.halfOpen()
		for range 2 {
			a := s.say("A", report{Claim: ready, Results: []result{{probe, succeeded}}})
			s.want(a, StateHalfOpen)
			probe = a.Granted
		}
		s.want(s.say("A", report{Results: []result{{probe, failed}}}), StateOpen)
		s.clock += s.rules.Open
		probe = s.say("B", report{Claim: ready}).Granted
		for i := range 3 {
			a := s.say("B", report{Claim: ready, Results: []result{{probe, succeeded}}})
			s.want(a, []State{StateHalfOpen, StateHalfOpen, StateClosed}[i])
			probe = a.Granted
		}
	})
}

// A probe that tells nothing is given out again at once.
func TestHalfOpenVoidProbe(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		a := s.say("B", report{Claim: ready, Results: []result{{probe, void}}})
		s.want(a, StateHalfOpen)
		if a.Granted == "" || a.Granted == probe {
			t.Errorf("B has %q, want another than %q", a.Granted, probe)
		}
	})
}

// A probe whose owner dies is given out again once, after its lease; and so is one
// whose end is never heard of. What is heard later changes nothing.
func TestHalfOpenLease(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		s.clock += holdFor + s.rules.Lease - 1
		equal(t, "B has, before the lease ends", s.say("B", report{Claim: wanting}).Granted, "")
		s.clock++
		second := s.say("B", report{Claim: wanting}).Granted
		if second == "" {
			t.Fatal("nobody has the probe after its lease")
		}
		equal(t, "C has", s.say("C", report{Claim: wanting}).Granted, "")
		s.want(s.say("A", report{Results: []result{{probe, failed}}}), StateHalfOpen)
		s.want(s.say("B", report{Results: []result{{second, succeeded}}}), StateClosed)
	})
}

// The hold on a probe that no request has taken lasts as long as its instance says
// so; a request that takes it at the end still has the whole lease.
func TestHalfOpenHold(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		for range 60 {
			s.clock += holdFor
			a := s.say("A", report{Claim: ready, Held: probe})
			equal(t, "A has", a.Granted, probe)
			equal(t, "lease", a.ProbeIn, holdFor+s.rules.Lease)
		}
	})
}

// Who has denied a request for want of a probe gets the one that another holds in
// vain.
func TestHalfOpenYields(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		equal(t, "A yields, before somebody wants it", s.say("A", report{Claim: ready, Held: probe}).Yield, false)
		s.say("B", report{Claim: wanting})
		equal(t, "A yields", s.say("A", report{Claim: ready, Held: probe}).Yield, true)
		equal(t, "A has, after it has given back", s.say("A", report{Claim: ready, Back: probe}).Granted, "")
		equal(t, "C has", s.say("C", report{Claim: ready}).Granted, "")
		if s.say("B", report{Claim: ready}).Granted == "" {
			t.Error("B has no probe")
		}
	})
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		s.say("B", report{Claim: wanting})
		s.clock += wantFor + 1
		equal(t, "A yields to one that has gone", s.say("A", report{Claim: ready, Held: probe}).Yield, false)
	})
}

// Only its own probe can be given back, and only by its instance.
func TestHalfOpenGivesBackOnlyItsOwn(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		equal(t, "C has, after B gave back A's", s.say("B", report{Claim: ready, Back: probe}).Granted, "")
		equal(t, "A still has", s.say("A", report{Claim: ready, Held: probe}).Granted, probe)
	})
}

// An instance that was not told of its probe, since the answer was lost, is given
// one at its next report.
func TestHalfOpenLostAnswer(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		if again := s.say("A", report{Claim: ready}).Granted; again == "" || again == probe {
			t.Errorf("A has %q, want another than %q, of which it knows nothing", again, probe)
		}
	})
}

// Who is being closed takes no probe.
func TestHalfOpenUnready(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		equal(t, "A has", s.say("A", report{Claim: unready, Back: probe}).Granted, "")
		if s.say("B", report{Claim: ready}).Granted == "" {
			t.Error("B has no probe")
		}
	})
}
