package authz

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/span"
)

const (
	// maxQuestions is how many questions an issuer is asked at a time, and
	// maxWaiting how many tokens may be asked about or wait for that.
	maxQuestions = 64
	maxWaiting   = 1024
	// After so many failures in a row an issuer is left alone, at first for the
	// least and then for twice as long each time, up to the most; then one
	// question tries whether it is back.
	failuresToPause = 5
	leastPause      = 250 * time.Millisecond
	mostPause       = 5 * time.Second
)

var (
	errCrowded = errors.New("too many tokens wait for the issuer's answer")
	errPaused  = errors.New("the issuer has failed several times in a row, and is left alone for a while")
)

// introspected is what an issuer says of a token. The zero value is a token
// that is not active.
type introspected struct {
	active bool
	// claims are the members of the answer. They are shared, and never written.
	claims claims
}

// introspector asks one issuer. Concurrent requests with one token share a
// question.
type introspector struct {
	ctx     context.Context
	asking  *sync.WaitGroup
	timeout time.Duration
	cache   *introspectionCache // has a lock of its own
	slots   chan struct{}

	// mu guards the rest.
	mu       sync.Mutex
	access   *issuerAccess // nil: it cannot be asked
	flights  map[tokenHash]*question
	failures int
	// resting is until when only a lone question may go out.
	resting time.Time
}

// question is one that is under way, and those who wait for its answer.
type question struct {
	landed chan struct{}
	// found and err are set before landed is closed.
	found introspected
	err   error
}

func newIntrospector(ctx context.Context, asking *sync.WaitGroup, p *config.Introspection) *introspector {
	return &introspector{
		ctx: ctx, asking: asking,
		timeout: p.Timeout.Or(defaultIntrospectionTimeout),
		cache:   newIntrospectionCache(p.Cache),
		slots:   make(chan struct{}, maxQuestions),
		flights: map[tokenHash]*question{},
	}
}

func (s *introspector) renew(access *issuerAccess) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access = access
}

// ask is what the issuer says, and whether that was remembered.
func (s *introspector) ask(ctx context.Context, token string) (found introspected, cached bool, err error) {
	hash := tokenHash(sha256.Sum256([]byte(token)))
	now := time.Now()
	if found, ok := s.cache.get(hash, now); ok {
		return found, true, nil
	}
	q, err := s.join(hash, token, now)
	if err != nil {
		return introspected{}, false, err
	}
	inline.Blocks(ctx)
	waiting := span.Begin(ctx, span.Introspection)
	defer func() { waiting.End(err != nil) }()
	select {
	case <-q.landed:
		return q.found, false, q.err
	case <-ctx.Done():
		return introspected{}, false, fmt.Errorf("waiting for the issuer: %w", ctx.Err())
	}
}

// join is the question about a token that is under way, or a new one.
func (s *introspector) join(hash tokenHash, token string, now time.Time) (*question, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.flights[hash]; q != nil {
		return q, nil
	}
	switch {
	case s.ctx.Err() != nil || s.access == nil:
		return nil, errNoSecret
	case len(s.flights) >= maxWaiting:
		return nil, errCrowded
	case now.Before(s.resting):
		return nil, errPaused
	case s.failures >= failuresToPause:
		s.resting = now.Add(s.timeout) // this one is the lone question
	}
	q := &question{landed: make(chan struct{})}
	s.flights[hash] = q
	access := s.access
	s.asking.Go(func() { s.answer(q, hash, access, token) })
	return q, nil
}

// answer brings the answer to a question. It outlives those who asked, since
// others may have joined them.
func (s *introspector) answer(q *question, hash tokenHash, access *issuerAccess, token string) {
	q.err = errors.New("asking about a token panicked") // unless it is said otherwise
	defer func() {
		// A panic on a goroutine of our own would end the process.
		_ = recover()
		s.landed(q, hash)
	}()
	ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		q.err = fmt.Errorf("waiting to ask the issuer: %w", ctx.Err())
		return
	}
	if ctx.Err() != nil { // both came at once: nobody waits for the answer
		q.err = fmt.Errorf("waiting to ask the issuer: %w", ctx.Err())
		return
	}
	q.found, q.err = access.ask(ctx, token)
	if q.err == nil {
		s.cache.put(hash, q.found, time.Now())
	}
}

// landed ends a question, after its answer has been remembered: whoever comes
// later finds the one or the other.
func (s *introspector) landed(q *question, hash tokenHash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, hash)
	if q.err == nil {
		s.failures, s.resting = 0, time.Time{}
	} else if s.failures++; s.failures >= failuresToPause {
		s.resting = time.Now().Add(pauseAfter(s.failures))
	}
	close(q.landed)
}

func pauseAfter(failures int) time.Duration {
	pause := leastPause
	for range failures - failuresToPause {
		if pause *= 2; pause >= mostPause {
			return mostPause
		}
	}
	return pause
}
