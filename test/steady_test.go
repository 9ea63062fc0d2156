package test

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// traffic is requests that are sent while something else happens.
type traffic struct {
	mu       sync.Mutex // guards sent and failures
	sent     int
	failures []string

	ended chan struct{}
	wg    sync.WaitGroup
}

// steady calls each function some hundred times a second, and never twice at a
// time, until stop: enough to be hit by any moment of a change, and little
// enough to leave the machine to what is tested.
func steady(sends ...func() error) *traffic {
	tr := &traffic{ended: make(chan struct{})}
	for i, send := range sends {
		tr.wg.Go(func() {
			tick := time.NewTicker(4 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tr.ended:
					return
				case <-tick.C:
				}
				tr.note(i, send())
			}
		})
	}
	return tr
}

func (tr *traffic) note(sender int, err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.sent++
	if err != nil && len(tr.failures) < 100 {
		tr.failures = append(tr.failures, fmt.Sprintf("%s, sender %d: %v", time.Now().UTC().Format("15:04:05.000"), sender, err))
	}
}

// stop ends the requests, and fails the test where one has failed.
func (tr *traffic) stop(t testing.TB) {
	t.Helper()
	close(tr.ended)
	tr.wg.Wait()
	if len(tr.failures) > 0 {
		t.Errorf("%d of %d requests failed, first: %.1000s", len(tr.failures), tr.sent, tr.failures[0])
	}
	if tr.sent < 100 {
		t.Errorf("only %d requests were sent: they prove nothing", tr.sent)
	}
}
