package heap

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

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

// TestHeapRests: in a rest the room is the system's again; with the next work it is
// back.
func TestHeapRests(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	tuner := start(256<<20, time.Hour)
	defer tuner.stop()
	ballast = make([]byte, 40<<20) // of a burst
	for i := range ballast {
		ballast[i] = 1
	}
	ballast = nil
	tuner.restNow()
	if got, free := gcPercent(), freeNotReturned(); got != leastPercent || free > 8<<20 {
		t.Errorf("resting, the heap may grow by %d %%, and %d bytes of it are free", got, free)
	}
	testenv.Eventually(t, "a collection ends the rest", func() error {
		runtime.GC()
		if got := gcPercent(); got < 200 {
			return fmt.Errorf("the heap may grow by %d %%", got)
		}
		return nil
	})
}

// TestRestBegins by itself, when no collection was needed for the time.
func TestRestBegins(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	defer start(64<<20, 10*time.Millisecond).stop()
	testenv.Eventually(t, "the process rests", func() error {
		if got := gcPercent(); got != leastPercent {
			return fmt.Errorf("the heap may grow by %d %%", got)
		}
		return nil
	})
}

// freeNotReturned is how much of the heap is neither in use nor the system's.
func freeNotReturned() uint64 { return metric("/memory/classes/heap/free:bytes") }

func gcPercent() uint64 { return metric("/gc/gogc:percent") }

func metric(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
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
