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

// errStoreDown is what the guard answers while it lets nothing through.
var errStoreDown = errors.New("store is down")

// pinger is a store that can be probed and closed.
type pinger interface {
	store
	leaser
	run(ctx context.Context, calls []call) ([][]Result, error)
	ping(ctx context.Context) error
	close() error
}

// guard asks a store as long as it answers. After the first failure no request
// reaches it: probes in the background find out when it answers again. So in an
// outage only the requests that were with the store already wait, each for no
// longer than timeout.
type guard struct {
	store   pinger
	timeout time.Duration
	log     *slog.Logger
	metrics *metrics

	// term counts the turns of the store: even while it is up, odd while it is
	// down. A failure counts only in the term that it was asked in, so that an
	// answer which comes late changes nothing.
	term atomic.Uint64

	tripped chan struct{} // holds one token from a failure until the probes begin
	stop    context.CancelFunc
	stopped chan struct{}
}

// newGuard probes the store once, for at most startTimeout, and starts the
// goroutine that probes it after a failure; close ends it.
func newGuard(s pinger, timeout time.Duration, log *slog.Logger, m *metrics) *guard {
	ctx, stop := context.WithCancel(context.Background())
	g := &guard{
		store: s, timeout: timeout, log: log, metrics: m,
		tripped: make(chan struct{}, 1), stop: stop, stopped: make(chan struct{}),
	}
	if err := g.probe(ctx, max(timeout, startTimeout)); err != nil {
		g.fail(0, err)
	} else {
		log.Info("rate limits are counted in Redis")
	}
	go g.run(ctx)
	return g
}

// up says whether requests reach the store.
func (g *guard) up() bool { return g.term.Load()%2 == 0 }

// take asks the store for the items of a request.
func (g *guard) take(ctx context.Context, items []item) (results []Result, err error) {
	err = g.ask(ctx, func(ctx context.Context) error {
		results, err = g.store.take(ctx, items)
		return err
	})
	return results, err
}

// answer asks the store for several calls at once, in their order.
func (g *guard) answer(ctx context.Context, calls []call) (results [][]Result, err error) {
	err = g.ask(ctx, func(ctx context.Context) error {
		results, err = g.store.run(ctx, calls)
		return err
	})
	return results, err
}

// ask does what asks the store. It outlives ctx, by timeout at most: a client that
// hangs up neither costs a connection nor counts as a failure of the store.
func (g *guard) ask(ctx context.Context, what func(context.Context) error) error {
	term := g.term.Load()
	if term%2 == 1 {
		return errStoreDown
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.timeout)
	defer cancel()
	begin := time.Now()
	err := what(ctx)
	g.metrics.asked(time.Since(begin), err)
	if err != nil {
		g.fail(term, err)
	}
	return err
}

// fail ends an even term, once.
func (g *guard) fail(term uint64, err error) {
	if !g.term.CompareAndSwap(term, term+1) {
		return
	}
	g.log.Warn("Redis does not answer; each limit goes on by its onStoreFailure (local: this instance counts alone)",
		"error", err)
	g.tripped <- struct{}{} // never blocks: the last one was taken before its term ended
}

// run probes the store after each failure, until stop.
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

// probeUntilUp probes until the store answers, and begins an even term. It
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
	return g.store.ping(ctx)
}

// close ends the probes and closes the store. Requests after it find the store
// failing, and go on without it.
func (g *guard) close() error {
	g.stop()
	<-g.stopped
	return g.store.close()
}
