package ratelimit

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gatewright/gatewright/internal/inline"
)

// mostTogether is how many requests share a call: at some microseconds of Redis'
// thread each, others that use this Redis wait for less than a millisecond.
const mostTogether = 128

// replied is what Redis says to one call: results, or an error, after which the
// call may have been done or not.
type replied struct {
	results []Result
	err     error
}

// server answers calls in one round trip, in their order.
type server func(ctx context.Context, calls []call) []replied

// lane is the way to one Redis server. There is one call of the script under way
// at a time: a second one would only share Redis' one thread with it, and halve what
// a call carries. Requests that come meanwhile go together with the next one, which is
// sent before anybody goes on with what the last one has said. So there is no timer,
// no delay where there is no load, and where there is some, Redis is not kept waiting.
//
// The goroutine of a request that finds the lane free makes the call; for those that
// wait, and for requests without a goroutine, one of the lane's does.
//
// No request waits longer than the guard's timeout, in the queue and with Redis
// together: the call under way has to end in the time of a request that came
// earlier, and each call in that of the oldest request in it. When one fails, all
// that wait fail with it.
type lane struct {
	*guard
	server  server
	metrics *metrics
	idle    sync.Pool      // of *waiting
	working sync.WaitGroup // the lane's goroutines

	mu     sync.Mutex // guards all below
	flying bool       // a call is under way, or about to be
	queue  []*waiting
}

// waiting is a request in a lane.
type waiting struct {
	calls []call
	since time.Time
	// then goes on with the request. Nil: a goroutine waits for its replies, as many
	// as calls, until it is woken.
	then    continuation
	replies []replied
	wake    chan struct{}
}

// continuation is a request that no goroutine waits with.
type continuation interface {
	// goOn goes on with the replies to its calls, and waits for nobody: others wait
	// behind it.
	goOn(replies []replied, answers *inline.Answers)
}

// ask answers calls, together with those of others.
func (l *lane) ask(calls []call) []replied {
	w := l.request(calls, nil)
	l.mu.Lock()
	switch {
	case !l.up():
		l.mu.Unlock()
		w.replies = unanswered(len(calls))
	case !l.flying:
		l.flying = true
		l.mu.Unlock()
		w.replies = l.exchange(w.since, 1, calls)
		l.handOn()
	default:
		l.queue = append(l.queue, w)
		l.mu.Unlock()
		<-w.wake
	}
	replies := w.replies
	l.done(w)
	return replies
}

// askLater is ask for a request that no goroutine waits with. Where the server is
// down, it goes on at once.
func (l *lane) askLater(calls []call, then continuation) {
	w := l.request(calls, then)
	l.mu.Lock()
	if !l.up() {
		l.mu.Unlock()
		l.conclude([]*waiting{w}, unanswered(len(calls)))
		return
	}
	defer l.mu.Unlock()
	l.queue = append(l.queue, w)
	if !l.flying {
		l.flying = true
		l.working.Go(l.lead)
	}
}

func (l *lane) request(calls []call, then continuation) *waiting {
	w, _ := l.idle.Get().(*waiting)
	if w == nil {
		w = &waiting{wake: make(chan struct{}, 1)}
	}
	w.calls, w.then, w.since = calls, then, time.Now()
	return w
}

// done ends the lane's use of w.
func (l *lane) done(w *waiting) {
	w.calls, w.then, w.replies = nil, nil, nil
	l.idle.Put(w)
}

// handOn has a goroutine of the lane lead, where somebody waits, or frees the lane.
func (l *lane) handOn() {
	l.mu.Lock()
	if l.up() && len(l.queue) > 0 {
		l.working.Go(l.lead)
		l.mu.Unlock()
		return
	}
	l.free()
}

// lead makes calls for those that wait, until nobody does, and frees the lane.
func (l *lane) lead() {
	for batch := l.next(); batch != nil; {
		last, replies := batch, l.exchange(batch[0].since, len(batch), allCalls(batch))
		if batch = l.next(); batch != nil {
			l.working.Go(func() { l.conclude(last, replies) })
		} else {
			l.conclude(last, replies)
		}
	}
}

// next is as many that wait as go together; nil frees the lane.
func (l *lane) next() []*waiting {
	l.mu.Lock()
	if !l.up() || len(l.queue) == 0 {
		l.free()
		return nil
	}
	defer l.mu.Unlock()
	n := min(len(l.queue), mostTogether)
	batch := slices.Clone(l.queue[:n])
	l.queue = slices.Delete(l.queue, 0, n)
	return batch
}

// free frees the lane, and unlocks the mutex. Who still waits, waits for a server that
// is down, and fails.
func (l *lane) free() {
	lost := l.queue
	l.queue, l.flying = nil, false
	l.mu.Unlock()
	l.conclude(lost, unanswered(len(allCalls(lost))))
}

// allCalls are those of a batch, one behind the other.
func allCalls(batch []*waiting) []call {
	if len(batch) == 1 {
		return batch[0].calls
	}
	calls := make([]call, 0, 2*len(batch))
	for _, w := range batch {
		calls = append(calls, w.calls...)
	}
	return calls
}

// conclude has each of a batch go on, with its part of the replies.
func (l *lane) conclude(batch []*waiting, replies []replied) {
	var answers inline.Answers
	for _, w := range batch {
		n := len(w.calls)
		own := replies[:n:n]
		replies = replies[n:]
		if w.then == nil {
			w.replies = own
			w.wake <- struct{}{} // from here on it is that goroutine's
			continue
		}
		w.then.goOn(own, &answers)
		l.done(w)
	}
	answers.Flush()
}

// close takes the lane down, for good, and returns when its goroutines have ended.
func (l *lane) close() {
	l.guard.close()
	l.mu.Lock()
	if term := l.term.Load(); term%2 == 0 {
		l.term.CompareAndSwap(term, term+1) // else a call has failed just now
	}
	l.mu.Unlock()
	l.working.Wait()
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
