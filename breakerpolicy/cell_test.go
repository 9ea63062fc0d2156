package breakerpolicy

import "testing"

// A probe that its instance has not been able to say that it holds is handed to no
// request any more: it may be another's by now. One that is taken back then is void.
func TestHeldProbeEndsWithItsHold(t *testing.T) {
	c := newCell("users", newLaw(users(short())["users"]), 0, true)
	granted := reply{offer: offer{Gen: 2, State: StateHalfOpen, Probe: "p", By: "A"}, Granted: "p"}
	give := func(sent int64) {
		c.take(&report{ID: "p"}, &granted, sent, sent+50, true)
	}
	give(1000)
	if a, _ := c.admit(1000 + holdFor); !a.Denied {
		t.Errorf("handed out after its hold: %+v", a)
	}
	give(1000)
	a, _ := c.admit(1000 + holdFor - 1)
	equal(t, "handed out at the end of its hold", a.Probe, "p@users")
	c.cancel("p", 1000+holdFor)
	equal(t, "held, after it was taken back too late", c.held, "")
	equal(t, "told", c.report(toStore, "q", 0, 3000, true).Results, []result{{"p", void}})
}
