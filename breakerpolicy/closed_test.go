package breakerpolicy

import "testing"

// Closed: it opens when more than the rate of enough requests have failed, and for
// nothing else.
func TestClosed(t *testing.T) {
	for name, c := range map[string]struct {
		total, failed int64
		want          State
	}{
		"nothing failed":           {1000, 0, StateClosed},
		"exactly half":             {20, 10, StateClosed},
		"exactly half of many":     {1_000_000, 500_000, StateClosed},
		"more than half":           {20, 11, StateOpen},
		"one more than half":       {1_000_001, 500_001, StateOpen},
		"all, but too few":         {19, 19, StateClosed},
		"all of just enough":       {20, 20, StateOpen},
		"more than half of enough": {21, 11, StateOpen},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s *stage) {
				s.want(s.ends("A", c.total, c.failed), c.want)
			})
		})
	}
}

// What instances have seen counts together, and the numbers are told.
func TestClosedCountsTogether(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		s.want(s.ends("A", 7, 4), StateClosed)
		s.want(s.ends("B", 7, 4), StateClosed)
		a := s.ends("C", 7, 3)
		s.want(a, StateOpen)
		equal(t, "transition", *a.Made, transition{
			Gen: 1, From: StateClosed, To: StateOpen, Why: tooManyFailures, Counts: tally{21, 11}, Open: 30_000, Trips: 1,
		})
		equal(t, "what others are told", s.say("B", report{}).offer, offer{Gen: 1, State: StateOpen, In: 30_000, Trips: 1, Tripped: tally{21, 11}, Told: true})
	})
}

// What has ended counts for the window, and for at most a slot longer.
func TestClosedForgets(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		s.clock += 499 // in the end of a slot of 500 ms
		s.ends("A", 10, 10)
		s.clock += s.rules.Window
		equal(t, "after the window", s.say("A", report{}).Now, tally{10, 10})
		s.clock++
		equal(t, "after the slot", s.say("A", report{}).Now, tally{})
		s.want(s.ends("A", 10, 10), StateClosed)
	})
}

// A report may tell of what has ended before: an instance that could not report
// tells later, and what has left the window is not told.
func TestClosedTakesInWhatIsLate(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		a := s.say("A", report{Counts: window{{s.rules.Window, 50, 50}, {s.rules.Window - 1, 3, 3}, {700, 2, 1}}})
		equal(t, "counted", a.Now, tally{5, 4})
		s.clock += 5000
		equal(t, "5 s later", s.say("A", report{}).Now, tally{2, 1})
	})
}

// An answer of an older generation changes nothing.
func TestClosedIgnoresOldGenerations(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		probe := s.halfOpen()
		s.want(s.say("A", report{Results: []result{{probe, succeeded}}}), StateClosed)
		a := s.say("B", report{Gen: 0, Counts: window{{0, 500, 500}}})
		s.want(a, StateClosed)
		equal(t, "counted", a.Now, tally{})
		a = s.say("B", report{Gen: a.Gen + 1, Counts: window{{0, 500, 500}}})
		equal(t, "counted of a generation that there is not", a.Now, tally{})
	})
}
