package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// releaseQueue is how many ends of requests wait for Redis at most. What does
	// not fit is dropped, and the lease ends it.
	releaseQueue = 1 << 14
	// releaseBatch is how many are told to Redis in one call.
	releaseBatch = 256
)

// Where a request in flight is counted: the first letter of its handle.
const (
	inMemory = 'm'
	inShared = 's'
)

// firstID is where the ids of this process' requests begin: below 2^52, so that
// they stay below 2^53, and at random, so that no two processes use the same.
func firstID() int64 { return rand.Int64N(maxExact / 2) }

// number gives the requests that logs remember their ids.
func (l *Limiter) number(b *basket) {
	for i, it := range b.items {
		if _, isLog := it.Definition.(slidingLog); isLog {
			n := min(max(it.Cost, 0), maxFlights)
			b.items[i].ID = l.ids.Add(n) - n
		}
	}
}

// handles are by what requests in flight are released that were charged.
func handles(b *basket, verdicts []verdict) []string {
	var all []string
	for i, it := range b.items {
		if l, ok := it.Definition.(slidingLog); ok && l.flights && verdicts[i].counted && it.Cost > 0 {
			all = append(all, handle(it, l, !verdicts[i].here))
		}
	}
	return all
}

// handle is "s.ID.COST.MAX.LEASE.KEY": all that a release has to say.
func handle(it item, l slidingLog, shared bool) string {
	text := append(make([]byte, 0, 64+len(it.key)), inMemory, '.')
	if shared {
		text[0] = inShared
	}
	for _, n := range []int64{it.ID, it.Cost, l.limit, l.window} {
		text = strconv.AppendInt(text, n, 10)
		text = append(text, '.')
	}
	return string(append(text, it.key...))
}

// parseHandle reads what handle has written.
func parseHandle(text string) (it item, shared bool, err error) {
	words := strings.SplitN(text, ".", 6)
	if len(words) != 6 || len(words[0]) != 1 || !strings.ContainsAny(words[0], string(inMemory)+string(inShared)) {
		return it, false, errors.New("no handle of a request in flight")
	}
	var n [4]int64
	for i := range n {
		if n[i], err = strconv.ParseInt(words[1+i], 10, 64); err != nil || n[i] < 0 || n[i] > maxExact {
			return it, false, errors.New("no handle of a request in flight")
		}
	}
	l := slidingLog{limit: n[2], window: n[3], flights: true}
	return item{words[5], Demand{Definition: l, Cost: n[1], ID: n[0]}}, words[0][0] == inShared, nil
}

// Release tells that requests in flight have ended, by the handles of their
// Decisions. It never blocks: Redis is told later, and what it cannot be told the
// lease ends. A handle that is released twice, or is none, does nothing.
func (l *Limiter) Release(handles []string) {
	for _, text := range handles {
		it, shared, err := parseHandle(text)
		switch {
		case err != nil:
			l.log.Warn("a request in flight cannot be released", "error", err)
		case !shared:
			l.local.answer(call{opRefund, []item{it}})
		case l.releases == nil:
		default:
			select {
			case l.releases.queue <- call{opRefund, []item{it}}:
			default:
				l.metrics.unreleased.Inc()
			}
		}
	}
}

// releases tell Redis which requests in flight have ended, some at a time.
type releases struct {
	queue   chan call
	shared  *shared
	metrics *metrics
	stop    context.CancelFunc
	stopped chan struct{}
}

// newReleases starts the goroutine that tells; close ends it.
func newReleases(shared *shared, m *metrics) *releases {
	ctx, stop := context.WithCancel(context.Background())
	r := &releases{make(chan call, releaseQueue), shared, m, stop, make(chan struct{})}
	go r.run(ctx)
	return r
}

func (r *releases) run(ctx context.Context) {
	defer close(r.stopped)
	for {
		select {
		case <-ctx.Done():
			r.tell(r.waiting(nil))
			return
		case first := <-r.queue:
			r.tell(r.waiting([]call{first}))
		}
	}
}

// waiting is calls and those that wait, up to a batch.
func (r *releases) waiting(calls []call) []call {
	for len(calls) < releaseBatch {
		select {
		case c := <-r.queue:
			calls = append(calls, c)
		default:
			return calls
		}
	}
	return calls
}

func (r *releases) tell(calls []call) {
	if len(calls) == 0 {
		return
	}
	if err := r.shared.give(calls); err != nil {
		r.metrics.unreleased.Add(float64(len(calls)))
	}
}

// close tells what waits, up to a batch, and ends.
func (r *releases) close() {
	r.stop()
	<-r.stopped
}

// give gives back what calls of one item each say, where their servers are up. No
// request waits for it.
func (s *shared) give(calls []call) error {
	asked := slices.DeleteFunc(slices.Clone(calls), func(c call) bool { return !s.laneOf(c.items[0].key).up() })
	if len(asked) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), max(s.timeout, time.Second))
		defer cancel()
		if _, err := s.redis.run(ctx, asked); err != nil {
			return fmt.Errorf("giving back: %w", err)
		}
	}
	if len(asked) < len(calls) {
		return errStoreDown
	}
	return nil
}
