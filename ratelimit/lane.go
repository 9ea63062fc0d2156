package ratelimit

import (
	"context"
	"sync"
	"time"
)

const (
	// mostFlying is how many calls of the script a lane has under way at once.
	// One keeps the order; a second one would only share Redis' one thread with
	// it, and halve what a call carries.
	mostFlying = 1
	// mostTogether is how many requests share a call: at some microseconds of
	// Redis' thread each, others that use this Redis wait for less than a
	// millisecond.
	mostTogether = 128
)

// replied is what Redis says to one call: results, or an error, after which the
// call may have been done or not.
type replied struct {
	results []Result
	err     error
}

// server answers calls in one round trip, in their order.
type server func(ctx context.Context, calls []call) []replied

// lane is the way to one Redis server. There is one call of the script under way
// at a time; requests that come meanwhile go together with the next one. The
// goroutine of a request that finds the lane free makes the call; when it is back,
// that of the first request which waits makes the next one, for all that wait. So
// there is no timer, no goroutine of its own, and no delay where there is no load.
//
// No request waits longer than the guard's timeout, in the queue and with Redis
// together: the call under way has to end in the time of a request that came
// earlier, and each call in that of the oldest request in it. When one fails, all
// that wait fail with it.
type lane struct {
	*guard
	server  server
	metrics *metrics
	idle    sync.Pool // of *waiting

	mu     sync.Mutex // guards all below
	flying int
	queue  []*waiting
}

// waiting is a request in a lane.
type waiting struct {
	calls   []call
	replies []replied // as many as calls, once it is woken without a batch
	since   time.Time
	batch   []*waiting // what it is to lead, itself first
	wake    chan struct{}
}

// ask answers calls, together with those of others.
func (l *lane) ask(calls []call) []replied {
	w, _ := l.idle.Get().(*waiting)
	if w == nil {
		w = &waiting{wake: make(chan struct{}, 1)}
	}
	w.calls, w.since = calls, time.Now()
	l.mu.Lock()
	switch {
	case !l.up():
		l.mu.Unlock()
		w.replies = unanswered(len(calls))
	case l.flying < mostFlying:
		l.flying++
		l.mu.Unlock()
		w.batch = append(w.batch, w)
		l.lead(w)
	default:
		l.queue = append(l.queue, w)
		l.mu.Unlock()
		<-w.wake
		if len(w.batch) > 0 {
			l.lead(w)
		}
	}
	replies := w.replies
	clear(w.batch)
	w.calls, w.replies, w.batch = nil, nil, w.batch[:0]
	l.idle.Put(w)
	return replies
}

// lead asks the server for the batch of w, wakes the others of it, and hands the
// lane on.
func (l *lane) lead(w *waiting) {
	calls := w.calls
	if len(w.batch) > 1 {
		calls = make([]call, 0, 2*len(w.batch))
		for _, other := range w.batch {
			calls = append(calls, other.calls...)
		}
	}
	replies := l.exchange(w.since, len(w.batch), calls)
	for _, other := range w.batch {
		n := len(other.calls)
		other.replies = replies[:n:n]
		replies = replies[n:]
		if other != w {
			other.wake <- struct{}{}
		}
	}
	l.next()
}

// exchange is one call of the server, for requests of which the oldest came at
// since.
func (l *lane) exchange(since time.Time, requests int, calls []call) []replied {
	term := l.term.Load()
	if term%2 == 1 {
		return unanswered(len(calls))
	}
	ctx, cancel := context.WithDeadline(context.Background(), since.Add(l.timeout))
	defer cancel()
	begin := time.Now()
	replies := l.server(ctx, calls)
	err := firstError(replies)
	l.metrics.asked(requests, time.Since(begin), err)
	if err != nil {
		l.fail(term, err)
	}
	return replies
}

// alone does what asks the server beside the calls of the script. It outlives ctx,
// by the timeout at most.
func (l *lane) alone(ctx context.Context, what func(context.Context) error) error {
	term := l.term.Load()
	if term%2 == 1 {
		return errStoreDown
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	defer cancel()
	begin := time.Now()
	err := what(ctx)
	l.metrics.asked(1, time.Since(begin), err)
	if err != nil {
		l.fail(term, err)
	}
	return err
}

// next has the first that waits lead as many as go together, or frees the lane.
// Where the server is down, all that wait fail.
func (l *lane) next() {
	l.mu.Lock()
	if l.up() && len(l.queue) > 0 {
		n := min(len(l.queue), mostTogether)
		first := l.queue[0]
		first.batch = append(first.batch, l.queue[:n]...)
		l.queue = append(l.queue[:0], l.queue[n:]...)
		l.mu.Unlock()
		first.wake <- struct{}{}
		return
	}
	lost := l.queue
	l.queue = nil
	l.flying--
	l.mu.Unlock()
	for _, w := range lost {
		w.replies = unanswered(len(w.calls))
		w.wake <- struct{}{}
	}
}

// unanswered are the replies of a server that is down.
func unanswered(n int) []replied {
	replies := make([]replied, n)
	for i := range replies {
		replies[i].err = errStoreDown
	}
	return replies
}

func firstError(replies []replied) error {
	for _, r := range replies {
		if r.err != nil {
			return r.err
		}
	}
	return nil
}
