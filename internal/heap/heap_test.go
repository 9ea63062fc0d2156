package heap

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

func TestPercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ floor, live, want uint64 }{
		{128 << 20, 16 << 20, 700}, {128 << 20, 64 << 20, 100}, {128 << 20, 100 << 20, 100}, {128 << 20, 1 << 30, 100},
		{128 << 20, 0, 12700}, {0, 10 << 20, 100},
	} {
		if got := percent(c.floor, c.live); got != c.want {
			t.Errorf("floor %d, live %d: %d, want %d", c.floor, c.live, got, c.want)
		}
	}
}

// ballast is what the heap holds.
var ballast []byte

// TestHeapFollows: when more is in use, less is given, from one collection to
// the next; and what was there before is back in the end.
func TestHeapFollows(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	undo := Raise(64 << 20)
	if got := gcPercent(); got < 200 {
		t.Errorf("a small heap may grow by %d %%", got)
	}
	ballast = make([]byte, 100<<20)
	testenv.Eventually(t, "a large heap grows as ever", func() error {
		runtime.GC()
		if got := gcPercent(); got != leastPercent {
			return fmt.Errorf("it may grow by %d %%", got)
		}
		return nil
	})
	ballast = nil
	undo()
	runtime.GC()
	if got := gcPercent(); got != 100 {
		t.Errorf("afterwards it is %d", got)
	}
}

func gcPercent() int {
	got := debug.SetGCPercent(100)
	debug.SetGCPercent(got)
	return got
}

func TestGOGCIsObeyed(t *testing.T) {
	t.Setenv("GOGC", "50")
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	defer Raise(Floor)()
	if got := debug.SetGCPercent(77); got != 77 {
		t.Errorf("it is %d", got)
	}
}
