package keys

import (
	"errors"
	"sync"
)

// waitingMax is how many different keys may wait to be read: sixteen reads, so
// that the last of them waits for a tenth of a second where reads take no time.
const waitingMax = 4096

var (
	errTooMany = errors.New("too many unread keys are waiting")
	errStopped = errors.New("the key cache has stopped")
)

// waiting holds the ids that requests wait for, first come first served. All
// requests for one id wait for one read of it, and one that comes after its
// read has begun waits for the next, so that nobody gets old news.
type waiting struct {
	// wake holds a value while there is somebody to serve.
	wake chan struct{}

	mu      sync.Mutex // guards the rest
	calls   map[string]*call
	order   []*call
	stopped bool
}

// call is one id to be read, and then what was read.
type call struct {
	id   string
	done chan struct{} // closed once found is set
	found
}

func newWaiting() *waiting {
	return &waiting{wake: make(chan struct{}, 1), calls: map[string]*call{}}
}

// join returns the call that will read id.
func (w *waiting) join(id string) (*call, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return nil, errStopped
	}
	if joined, ok := w.calls[id]; ok {
		return joined, nil
	}
	if len(w.order) >= waitingMax {
		return nil, errTooMany
	}
	added := &call{id: id, done: make(chan struct{})}
	w.calls[id] = added
	w.order = append(w.order, added)
	w.signal()
	return added, nil
}

// take removes and returns the first calls, max at most. The taker finishes
// every one of them.
func (w *waiting) take(max int) []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.order[:min(max, len(w.order))]
	w.order = w.order[len(taken):]
	for _, call := range taken {
		delete(w.calls, call.id)
	}
	if len(w.order) > 0 {
		w.signal()
	}
	return taken
}

// fail finishes all calls with err.
func (w *waiting) fail(err error) {
	finishAll(w.take(waitingMax), err)
}

// close fails all calls, those to come included.
func (w *waiting) close() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.fail(errStopped)
}

// signal fills wake, unless it is full. The caller holds mu.
func (w *waiting) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func finishAll(calls []*call, err error) {
	for _, call := range calls {
		call.finish(found{err: err})
	}
}

func (c *call) finish(answer found) {
	c.found = answer
	close(c.done)
}
