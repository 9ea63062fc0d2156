package keys

import (
	"testing"
	"time"
)

func TestPauseDoublesAndEnds(t *testing.T) {
	var p pause
	now := noon
	if !p.over(now) || p.worked() {
		t.Fatal("a new one pauses")
	}
	for i, want := range []time.Duration{firstPause, 2 * firstPause, 4 * firstPause, 8 * firstPause, 16 * firstPause, longestPause, longestPause} {
		if first := p.failed(now); first != (i == 0) {
			t.Errorf("failure %d is the first: %v", i+1, first)
		}
		if p.over(now.Add(want-1)) || !p.over(now.Add(want)) {
			t.Errorf("failure %d: not over after %s", i+1, want)
		}
		now = now.Add(want)
	}
	if !p.worked() || p.worked() || !p.over(now) {
		t.Error("it goes on after a use that worked")
	}
}
