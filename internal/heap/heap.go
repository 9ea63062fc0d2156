// Package heap gives the garbage collector room.
//
// Go collects when the heap has doubled. A process that lives in 10 MiB and
// answers many thousands of calls a second then collects every few
// milliseconds. What it may have doubles here from a floor on: memory that any
// machine has, for a good part of the CPU of a call (bench/check).
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Floor is the size up to which the heap may grow before it is collected.
const Floor = 128 << 20

// liveHeap is what the last collection has found in use.
const liveHeap = "/gc/heap/live:bytes"

// leastPercent is Go's own: heaps above the floor grow as ever.
const leastPercent = 100

// Raise has the heap grow to the floor before it is collected, and beyond it as
// Go does: by as much again as is in use. A GOMEMLIMIT still holds. Where the
// environment sets GOGC, that is obeyed, and nothing is done.
//
// It returns what undoes it.
func Raise(floor uint64) (undo func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	t := &tuner{floor: floor}
	before := debug.SetGCPercent(int(percent(floor, live())))
	t.afterEach()
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.stopped = true
		debug.SetGCPercent(before)
	}
}

// tuner sets the percentage anew after each collection.
type tuner struct {
	floor uint64

	mu      sync.Mutex // guards stopped, and the percentage while it is not set
	stopped bool
}

// afterEach has the next collection call it again: it leaves behind an object
// that nobody holds. So the percentage is never older than one collection, and a
// heap that has grown is not let grow by the factor that a small one has.
func (t *tuner) afterEach() {
	left := new([16]byte) // larger than what is allocated together with others
	left[0] = 1
	runtime.AddCleanup(&left[0], func(t *tuner) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.stopped {
			debug.SetGCPercent(int(percent(t.floor, live())))
			t.afterEach()
		}
	}, t)
}

// percent is by how much a heap with so much in use may grow to reach the floor.
func percent(floor, live uint64) uint64 {
	const small = 1 << 20 // nothing lives in less, and 0 would divide
	live = max(live, small)
	if live >= floor {
		return leastPercent
	}
	return max(leastPercent, (floor-live)*100/live)
}

func live() uint64 {
	sample := []metrics.Sample{{Name: liveHeap}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
