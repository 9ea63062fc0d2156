package ratelimit

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// firstCoolDown is how long after a failure the store is asked again. It
	// doubles with each probe that fails, up to longestCoolDown.
	firstCoolDown   = 250 * time.Millisecond
	longestCoolDown = 5 * time.Second
	// startTimeout bounds the first probe, which no request waits for.
	startTimeout = time.Second
)

// errStoreDown is what is answered while a guard lets nothing through.
var errStoreDown = errors.New("store is down")

// guard says whether a Redis server may be asked: as long as it answers. After
// the first failure no request reaches it: probes in the background find out when
// it answers again. So in an outage only the requests that were with it already
// wait, each for no longer than timeout.
type guard struct {
	ping    func(context.Context) error
	timeout time.Duration
	log     *slog.Logger

	// term counts the turns of the server: even while it is up, odd while it is
	// down. A failure counts only in the term that it was asked in, so that an
	// answer which comes late changes nothing.
	term atomic.Uint64

	tripped chan struct{} // holds one token from a failure until the probes begin
	stop    context.CancelFunc
	stopped chan struct{}
}

// newGuard starts the goroutine that probes the server after a failure; close
// ends it. The server is up until it fails.
func newGuard(ping func(context.Context) error, timeout time.Duration, log *slog.Logger) *guard {
	ctx, stop := context.WithCancel(context.Background())
	g := &guard{
		ping: ping, timeout: timeout, log: log,
		tripped: make(chan struct{}, 1), stop: stop, stopped: make(chan struct{}),
	}
	go g.run(ctx)
	return g
}

// begin probes the server once, for at most startTimeout.
func (g *guard) begin() {
	if err := g.probe(context.Background(), max(g.timeout, startTimeout)); err != nil {
		g.fail(0, err)
	} else {
		g.log.Info("rate limits are counted in Redis")
	}
}

// up says whether requests reach the server.
func (g *guard) up() bool { return g.term.Load()%2 == 0 }

// fail ends an even term, once.
func (g *guard) fail(term uint64, err error) {
	if term%2 == 1 || !g.term.CompareAndSwap(term, term+1) {
		return
	}
	g.log.Warn("Redis does not answer; each limit goes on by its onStoreFailure (local: this instance counts its share alone)",
		"error", err)
	g.tripped <- struct{}{} // never blocks: the last one was taken before its term ended
}

// run probes the server after each failure, until stop.
func (g *guard) run(ctx context.Context) {
	defer close(g.stopped)
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.tripped:
		}
		if !g.probeUntilUp(ctx) {
			return
		}
	}
}

// probeUntilUp probes until the server answers, and begins an even term. It
// returns false when ctx ended first.
func (g *guard) probeUntilUp(ctx context.Context) bool {
	began := time.Now()
	for coolDown := firstCoolDown; ; coolDown = min(2*coolDown, longestCoolDown) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(coolDown):
		}
		if err := g.probe(ctx, g.timeout); err == nil {
			g.log.Info("Redis answers again; rate limits are counted in it", "down_seconds", time.Since(began).Seconds())
			g.term.Add(1)
			return true
		}
	}
}

// probe is one call that no request waits for.
func (g *guard) probe(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return g.ping(ctx)
}

// close ends the probes.
func (g *guard) close() {
	g.stop()
	<-g.stopped
}
