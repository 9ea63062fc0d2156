package breakerpolicy

import "testing"

// The seven steps of README.md, with their numbers.
func TestReadmeSteps(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		at := func(ms int64) { s.clock = firstTime + ms }

		at(0)
		equal(t, "1, A", s.ends("A", 7, 4).Now, tally{7, 4})
		at(20)
		equal(t, "1, B", s.ends("B", 7, 4).Now, tally{14, 8})
		at(30)
		a := s.ends("C", 6, 2)
		s.want(a, StateClosed)
		equal(t, "1, C", a.Now, tally{20, 10})

		at(80)
		a = s.ends("C", 1, 1)
		equal(t, "2", *a.Made, transition{Gen: 1, From: StateClosed, To: StateOpen, Why: tooManyFailures, Counts: tally{21, 11}, Open: 30_000, Trips: 1})

		at(130)
		a = s.say("A", report{Gen: 0, Claim: ready, Counts: window{{0, 300, 300}}})
		equal(t, "3", [2]any{a.Gen, a.In}, [2]any{int64(1), int64(29_950)})

		at(30_080)
		a = s.say("B", report{Claim: ready})
		s.want(a, StateHalfOpen)
		probe := a.Granted
		equal(t, "4, B has", [2]any{probe != "", a.ProbeIn}, [2]any{true, int64(21_000)})
		equal(t, "4, A has", s.say("A", report{Claim: ready}).Granted, "")

		at(30_500)
		equal(t, "5, C has", s.say("C", report{Claim: wanting}).Granted, "")
		at(30_550)
		equal(t, "5, B yields", s.say("B", report{Claim: ready, Held: probe}).Yield, true)
		equal(t, "5, B has", s.say("B", report{Claim: ready, Back: probe}).Granted, "")
		at(30_570)
		second := s.say("C", report{Claim: ready}).Granted
		equal(t, "5, C has", second != "" && second != probe, true)

		at(31_200)
		a = s.say("A", report{Results: []result{{second, succeeded}}})
		s.want(a, StateClosed)
		equal(t, "6", a.Gen, 3)

		at(31_300)
		a = s.say("B", report{Gen: 0, Counts: window{{0, 9, 9}}, Results: []result{{probe, failed}}})
		s.want(a, StateClosed)
		equal(t, "7", a.Now, tally{})
	})
}
