package store

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

// follower is what watches share: it tells news from what is known, and
// reports an outage once. It is used by one goroutine.
type follower struct {
	name    string
	deliver func(Snapshot)
	failed  func(error)
	log     *slog.Logger

	known   identity
	failing bool
	pause   pauses
}

// identity is what makes one state differ from another. A content that was
// edited by hand stays the same state when Apply records it.
type identity struct {
	hash   string
	number int64
}

func identityOf(s Snapshot) identity {
	id := identity{hash: hashOf(s.Data)}
	if s.Version != nil && !s.Version.ByHand {
		id.number = s.Version.Number
	}
	return id
}

func newFollower(name string, known *Snapshot, deliver func(Snapshot), failed func(error), log *slog.Logger) *follower {
	f := &follower{name: name, deliver: deliver, failed: failed, log: log}
	if known != nil {
		f.known = identityOf(*known)
	}
	return f
}

// read takes what a read of the store returned. It tells whether the config
// could be read.
func (f *follower) read(h head, err error) bool {
	if err != nil {
		f.fail(err)
		return false
	}
	s, err := h.snapshot()
	if err != nil {
		f.pause.reset() // the store answers
		f.fail(err)
		return false
	}
	if f.failing {
		f.failing = false
		f.log.Info("the config can be read again", "config", f.name)
		if f.failed != nil {
			f.failed(nil)
		}
	}
	f.pause.reset()
	if id := identityOf(s); id != f.known {
		f.known = id
		f.deliver(s)
	}
	return true
}

// fail reports an error, once an outage.
func (f *follower) fail(err error) {
	if f.failing {
		return
	}
	f.failing = true
	if f.failed != nil {
		f.failed(fmt.Errorf("watching config %s: %w", f.name, err))
	}
}

// pauses is how long to wait after failures: longer after each, and not the
// same for all who wait.
type pauses struct{ last time.Duration }

const (
	leastPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

func (p *pauses) reset() { p.last = 0 }

// wait waits for the next pause, or for the context.
func (p *pauses) wait(ctx context.Context) {
	p.last = min(max(2*p.last, leastPause), mostPause)
	sleep(ctx, p.last/2+rand.N(p.last/2))
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
