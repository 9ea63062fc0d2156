package ratelimit

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// releaseQueue is how many ends of requests wait for Redis at most, and how many
	// more that it could not be told. What does not fit is dropped, and the lease
	// ends it.
	releaseQueue = 1 << 14
	// releaseBatch is how many are told to Redis in one call.
	releaseBatch = 256
	// releaseAgain is how often Redis is told what it could not be told.
	releaseAgain = 250 * time.Millisecond
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
// Decisions. It never blocks: Redis is told later, again and again while it does not
// answer, and what it cannot be told at all the lease ends. A handle that is released
// twice, or is none, does nothing.
func (l *Limiter) Release(handles []string) {
	for _, text := range handles {
		it, shared, err := parseHandle(text)
		switch {
		case err != nil:
			l.log.Warn("a request in flight cannot be released", "error", err)
		case !shared:
			l.local.answer(call{opRefund, []item{it}})
		case l.releases != nil:
			l.releases.add(it)
		}
	}
}

// ending is the end of a request that Redis is to be told. From until on the lease has
// ended it.
type ending struct {
	call  call
	until time.Time
}

// releases tell Redis which requests in flight have ended, some at a time.
type releases struct {
	queue   chan ending
	late    []ending // what could not be told, of run alone
	shared  *shared
	metrics *metrics
	stop    context.CancelFunc
	stopped chan struct{}
}

// newReleases starts the goroutine that tells; close ends it.
func newReleases(shared *shared, m *metrics) *releases {
	ctx, stop := context.WithCancel(context.Background())
	r := &releases{queue: make(chan ending, releaseQueue), shared: shared, metrics: m, stop: stop, stopped: make(chan struct{})}
	go r.run(ctx)
	return r
}

// add queues the end of a request, if there is room.
func (r *releases) add(it item) {
	lease := micros(uint64(it.Definition.(slidingLog).window))
	select {
	case r.queue <- ending{call{opRefund, []item{it}}, time.Now().Add(lease)}:
	default:
		r.metrics.unreleased.Inc()
	}
}

func (r *releases) run(ctx context.Context) {
	defer close(r.stopped)
	again := time.NewTicker(releaseAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			r.tell(r.waiting(nil))
			r.tellLate()
			r.metrics.unreleased.Add(float64(len(r.late)))
			return
		case first := <-r.queue:
			r.tell(r.waiting([]ending{first}))
		case <-again.C:
			r.tellLate()
		}
	}
}

// waiting is endings and those that wait, up to a batch.
func (r *releases) waiting(endings []ending) []ending {
	for len(endings) < releaseBatch {
		select {
		case e := <-r.queue:
			endings = append(endings, e)
		default:
			return endings
		}
	}
	return endings
}

// tell tells Redis, and keeps what it cannot be told, as far as there is room.
func (r *releases) tell(endings []ending) {
	for _, e := range r.untold(endings) {
		if len(r.late) == releaseQueue {
			r.metrics.unreleased.Inc()
			continue
		}
		r.late = append(r.late, e)
	}
}

// tellLate tells what could not be told, but for what the lease has ended meanwhile.
func (r *releases) tellLate() {
	late := r.late
	r.late = nil
	now := time.Now()
	for len(late) > 0 {
		batch := late[:min(len(late), releaseBatch)]
		late = late[len(batch):]
		kept := slices.DeleteFunc(slices.Clone(batch), func(e ending) bool { return !now.Before(e.until) })
		r.metrics.unreleased.Add(float64(len(batch) - len(kept)))
		r.tell(kept)
	}
}

// untold tells Redis, and returns what it could not be told. Where that was done all
// the same, it may be told again: a request is released but once.
func (r *releases) untold(endings []ending) (left []ending) {
	if len(endings) == 0 {
		return nil
	}
	calls := make([]call, len(endings))
	for i, e := range endings {
		calls[i] = e.call
	}
	for i, told := range r.shared.give(calls) {
		if !told {
			left = append(left, endings[i])
		}
	}
	return left
}

// close tells what waits, up to a batch, and ends.
func (r *releases) close() {
	r.stop()
	<-r.stopped
}

// give gives back what calls of one item each say, where their servers are up, and
// says which it could. No request waits for it.
func (s *shared) give(calls []call) (told []bool) {
	told = make([]bool, len(calls))
	var asked []call
	var at []int
	for i, c := range calls {
		if s.laneOf(c.items[0].key).up() {
			asked, at = append(asked, c), append(at, i)
		}
	}
	if len(asked) == 0 {
		return told
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(s.timeout, time.Second))
	defer cancel()
	for i, reply := range s.redis.exchange(ctx, s.redis.client, asked) {
		told[at[i]] = reply.err == nil
	}
	return told
}
