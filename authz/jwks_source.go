package authz

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/span"
)

const (
	// askInterval is the least time between two fetches that requests with
	// unknown keys cause.
	askInterval = 30 * time.Second
	// askPatience is how long after its begin a fetch is waited for by
	// requests. Later ones get their 401 at once, so a slow issuer gathers no
	// crowd.
	askPatience = 500 * time.Millisecond
)

// defaultMaxStale is how long keys are used that the issuer has not confirmed
// since, where the config does not say. While it is away the keys that it has
// withdrawn, as one that was stolen, go on; and so do its users.
const defaultMaxStale = 72 * time.Hour

// errEmptySet: a set of which no key is usable is a fault of the issuer, not
// an order to refuse everybody.
var errEmptySet = errors.New("the key set has no usable key")

// retry is how long a source waits after a failure: the least time first,
// then twice as long each time, up to the most.
type retry struct{ least, most time.Duration }

var (
	urlRetry  = retry{100 * time.Millisecond, 30 * time.Second}
	fileRetry = retry{filePoll, filePoll}
)

// keySource keeps the key set of one place. A goroutine of its own loads it,
// from start to close, or once; lookups read current.
type keySource struct {
	name  string
	log   *slog.Logger
	meter *sourceMeter
	load  loader
	retry retry
	// once: the text never changes, so it is loaded once, well or badly.
	once bool
	// fetches: a request with an unknown key may ask for a load.
	fetches bool

	// maxStale bounds the use of a set that is not confirmed; 0 does not.
	maxStale time.Duration
	// keeper keeps the set for the next start. It may be nil.
	keeper *keeper

	// current is the last good set; nil until there was one.
	current atomic.Pointer[keySet]
	// confirmed is when current was last known to be the issuer's, in Unix
	// nanoseconds. It is by the clock on the wall: a machine that slept is as
	// late as one that was awake.
	confirmed atomic.Int64
	// restored: current is what was kept on disk.
	restored atomic.Bool
	// ready is closed when the first good set is in.
	ready chan struct{}

	// mu guards flight and nextAsk.
	mu sync.Mutex
	// flight is the load that is under way or asked for; nil between loads.
	flight *flight
	// nextAsk is when a request may ask again.
	nextAsk time.Time
	// asked wakes the goroutine. It is filled under mu, together with flight.
	asked chan struct{}

	cancel context.CancelFunc
	done   chan struct{}

	// version, lastBody and the faults belong to the goroutine. They keep what
	// repeats itself from being sent, parsed and logged again.
	version       version
	lastBody      []byte
	lastFault     string
	lastKeepFault string
}

// flight is one load, and those who wait for it.
type flight struct {
	landed chan struct{}
	// until is when nobody waits for it any more.
	until time.Time
}

func (s *keySource) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go s.run(ctx)
}

// close stops the goroutine and waits for it.
func (s *keySource) close() {
	s.cancel()
	<-s.done
}

// awaitFirst reports whether the first set came before the context ended. A
// source that has ended without one is not waited for.
func (s *keySource) awaitFirst(ctx context.Context) bool {
	select {
	case <-s.ready:
	case <-s.done:
	case <-ctx.Done():
	}
	return s.current.Load() != nil
}

func (s *keySource) run(ctx context.Context) {
	defer close(s.done)
	defer s.land()
	s.restore(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	wait, ready := s.retry.least, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.asked:
		}
		s.takeOff()
		next, err := s.refresh(ctx)
		s.land()
		if !ready && s.current.Load() != nil {
			ready = true
			close(s.ready)
		}
		switch {
		case s.once:
			return
		case err != nil:
			next = s.again(wait, time.Now())
			wait = min(2*wait, s.retry.most)
		default:
			wait = s.retry.least
		}
		timer.Reset(next)
	}
}

// again is when to try once more after a failure: soon, as long as tokens wait for
// keys. Where there are good ones nobody waits, and whoever sends unknown keys must
// not have an issuer that fails asked more often: then it is the next time at which
// a request could ask, which the try counts for.
func (s *keySource) again(wait time.Duration, now time.Time) time.Duration {
	if !s.fetches || s.usable(now) == nil {
		return wait
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = max(wait, askInterval)
	s.nextAsk = now.Add(wait + askInterval)
	return wait
}

// takeOff begins a flight, or takes the one that a request has asked for.
func (s *keySource) takeOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight == nil {
		s.flight = &flight{landed: make(chan struct{}), until: time.Now().Add(askPatience)}
	}
	select {
	case <-s.asked: // it is being answered
	default:
	}
}

// land ends the flight, if there is one.
func (s *keySource) land() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		close(s.flight.landed)
		s.flight = nil
	}
}

// refetch reports whether a load ended while the caller waited, so that it is
// worth looking again. It joins the load under way, or asks for one where the
// last one asked for is long enough ago.
func (s *keySource) refetch(ctx context.Context) (landed bool) {
	f := s.joinFlight(time.Now())
	if f == nil {
		return false
	}
	inline.Blocks(ctx)
	waiting := span.Begin(ctx, span.JWKS)
	defer func() { waiting.End(!landed) }()
	wait := time.NewTimer(time.Until(f.until)) // at once, where that is past
	defer wait.Stop()
	select {
	case <-f.landed:
		return true
	case <-wait.C:
		return false
	case <-ctx.Done():
		return false
	}
}

func (s *keySource) joinFlight(now time.Time) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.fetches:
		return nil
	case s.flight != nil:
		return s.flight
	case now.Before(s.nextAsk):
		return nil
	}
	s.nextAsk = now.Add(askInterval)
	s.flight = &flight{landed: make(chan struct{}), until: now.Add(askPatience)}
	select {
	case s.asked <- struct{}{}:
	default: // it has been woken already
	}
	return s.flight
}

// usable is the set to judge by at a time; nil where there is none, or one that
// has not been confirmed for too long.
func (s *keySource) usable(now time.Time) *keySet {
	if s.maxStale > 0 && now.UnixNano()-s.confirmed.Load() > int64(s.maxStale) {
		return nil
	}
	return s.current.Load()
}

// refresh loads once. On an error the last good set stays.
func (s *keySource) refresh(ctx context.Context) (next time.Duration, err error) {
	got, err := s.load(ctx, s.version)
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err() // being closed is no fault
	case err != nil:
		s.failed("error", err)
		return 0, err
	case got.unread:
		return got.next, nil
	case got.same, s.lastBody != nil && bytes.Equal(got.body, s.lastBody):
		s.version = got.version
		s.confirm(time.Now())
		s.succeeded(s.current.Load())
		return got.next, nil
	}
	return got.next, s.take(got.fetched)
}

// take makes a text the current set, if it is one.
func (s *keySource) take(got fetched) error {
	set, err := s.parse(got.body)
	if err != nil {
		return err
	}
	s.lastBody, s.version = got.body, got.version
	// Confirmed first: a set must not be read as older than it is.
	s.confirm(time.Now())
	s.current.Store(set)
	s.succeeded(set)
	s.log.Info("key set loaded", "jwks", s.name, "keys", len(set.keys))
	return nil
}

// parse is the set that a text stands for. An error has been told.
func (s *keySource) parse(body []byte) (*keySet, error) {
	set, dropped, err := parseKeySet(body)
	if err != nil {
		s.failed("invalid", err)
		return nil, err
	}
	for _, key := range dropped {
		s.log.Warn("a key of the set is not used", "jwks", s.name, "kid", key.kid, "why", key.why)
	}
	if len(set.keys) == 0 {
		s.failed("empty", errEmptySet)
		return nil, errEmptySet
	}
	return set, nil
}

// confirm says that the issuer has the set of lastBody now, and keeps it.
func (s *keySource) confirm(now time.Time) {
	s.confirmed.Store(now.UnixNano())
	s.restored.Store(false)
	if !s.fetches {
		return
	}
	s.meter.confirmed(now)
	err := s.keeper.save(keptSet{ConfirmedAt: now, Version: s.version, Body: string(s.lastBody)})
	if err == nil {
		s.lastKeepFault = ""
	} else if text := err.Error(); text != s.lastKeepFault {
		s.lastKeepFault = text
		s.log.Error("a key set is not kept for the next start", "jwks", s.name, "error", err)
	}
}

// restore makes what was kept the current set, until the issuer answers.
func (s *keySource) restore(now time.Time) {
	kept, err := s.keeper.load(now)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.log.Error("the kept key set is not used", "jwks", s.name, "error", err)
		return
	}
	set, err := s.parse([]byte(kept.Body))
	if err != nil {
		return
	}
	s.lastBody, s.version = []byte(kept.Body), kept.Version
	s.confirmed.Store(kept.ConfirmedAt.UnixNano())
	s.restored.Store(true)
	s.current.Store(set)
	s.meter.keys(len(set.keys))
	s.meter.confirmed(kept.ConfirmedAt)
	s.log.Info("key set of the last run taken up, until the issuer answers",
		"jwks", s.name, "keys", len(set.keys), "age", now.Sub(kept.ConfirmedAt).Round(time.Second))
}

func (s *keySource) succeeded(set *keySet) {
	s.meter.loaded("ok")
	s.meter.keys(len(set.keys))
	s.lastFault = ""
}

// failed counts a fault, and logs it when it is a new one.
func (s *keySource) failed(result string, err error) {
	s.meter.loaded(result)
	if text := err.Error(); text != s.lastFault {
		s.lastFault = text
		s.log.Error("loading a key set failed, keeping the last good one",
			"jwks", s.name, "error", err, "has_keys", s.current.Load() != nil)
	}
}
