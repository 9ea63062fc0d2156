// Package heap gives the garbage collector room while there is work, and gives the
// memory back when there is none.
//
// Go collects when the heap has doubled. A process that lives in 10 MiB and
// answers many thousands of calls a second then collects every few
// milliseconds. What it may have doubles here from a floor on: memory that any
// machine has, for a good part of the CPU of a call (bench/check).
//
// Go gives back to the system what is beyond the size at which it collects next: of a
// heap that may grow to the floor, nothing. So when no collection was needed for a
// while, the process rests: the room is taken away, and what is free is given back.
// The first collection after that ends the rest.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// Floor is the size up to which the heap may grow before it is collected.
const Floor = 128 << 20

// restAfter is how long no collection has to be needed for the process to rest. A
// process that fills the room within it works, and pays nothing; one that does not is
// collected once in that time.
const restAfter = 20 * time.Second

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
	return start(floor, restAfter).stop
}

// tuner sets the percentage anew after each collection.
type tuner struct {
	floor uint64
	rest  time.Duration

	mu      sync.Mutex // guards what follows, and the percentage while it is not stopped
	stopped bool
	before  int // the percentage that there was before
	// resting is set while the collection is ours that begins a rest.
	resting bool
	idle    *time.Timer
}

// start raises the heap to the floor, and has the process rest.
func start(floor uint64, rest time.Duration) *tuner {
	t := &tuner{floor: floor, rest: rest}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = debug.SetGCPercent(int(percent(floor, live())))
	t.idle = time.AfterFunc(rest, t.restNow)
	t.afterEach()
	return t
}

func (t *tuner) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.idle.Stop()
	debug.SetGCPercent(t.before)
}

// afterEach has the next collection call it again: it leaves behind an object
// that nobody holds. So the percentage is never older than one collection, and a
// heap that has grown is not let grow by the factor that a small one has.
func (t *tuner) afterEach() {
	left := new([16]byte) // larger than what is allocated together with others
	left[0] = 1
	runtime.AddCleanup(&left[0], (*tuner).collected, t)
}

// collected is called after a collection.
func (t *tuner) collected() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	if t.resting {
		t.resting = false
	} else {
		debug.SetGCPercent(int(percent(t.floor, live())))
		t.idle.Reset(t.rest)
	}
	t.afterEach()
}

// restNow begins a rest: the heap may grow as Go has it, and what it does not need is
// the system's. A heap beyond the floor has no room that could be taken away.
func (t *tuner) restNow() {
	t.mu.Lock()
	if t.stopped || percent(t.floor, live()) == leastPercent {
		t.mu.Unlock()
		return
	}
	t.resting = true
	debug.SetGCPercent(leastPercent)
	t.mu.Unlock()
	debug.FreeOSMemory() // collects; not under the lock, since it takes its time
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
