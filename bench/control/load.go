package main

import (
	"context"
	"sync"
	"time"
)

// load is clients that ask questions in turn, each on a connection of its own
// and the next when the last is answered, until they are stopped.
type load struct {
	started time.Time
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	tallies []tally // one a client
}

// tally is what a load has met.
type tally struct {
	times  samples // of the right answers
	asked  int     // requests beside, of which no times are kept
	failed int
	// first is the first failure.
	first error
	took  time.Duration
}

// startLoad begins to ask. pause goes between an answer and the next question.
func startLoad(ctx context.Context, addr string, questions []question, clients int, pause time.Duration) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{started: time.Now(), cancel: cancel, tallies: make([]tally, clients)}
	for i := range clients {
		l.wg.Go(func() { l.tallies[i] = keepAsking(ctx, addr, questions, i, pause) })
	}
	return l
}

func keepAsking(ctx context.Context, addr string, questions []question, next int, pause time.Duration) (t tally) {
	c := newClient(addr)
	defer c.close()
	for ; ctx.Err() == nil; next++ {
		q := questions[next%len(questions)]
		began := time.Now()
		a, err := c.ask(q.request)
		if err == nil {
			err = q.check(a)
		}
		if err == nil {
			t.times = append(t.times, time.Since(began))
		} else {
			t.fail(err)
		}
		if pause > 0 || err != nil {
			time.Sleep(max(pause, pollPause))
		}
	}
	return t
}

// stop ends the load and returns what it has met. It is called once.
func (l *load) stop() tally {
	l.cancel()
	took := time.Since(l.started)
	l.wg.Wait()
	var sum tally
	for _, t := range l.tallies {
		sum.add(t)
	}
	sum.took = took
	return sum
}

func (t *tally) fail(err error) {
	t.failed++
	if t.first == nil {
		t.first = err
	}
}

// add adds what another has met. took stays.
func (t *tally) add(other tally) {
	t.times = append(t.times, other.times...)
	t.asked += other.asked
	t.failed += other.failed
	if t.first == nil {
		t.first = other.first
	}
}

// sent is how many requests were made.
func (t tally) sent() int { return len(t.times) + t.failed + t.asked }

// perSecond is how many right answers came in a second.
func (t tally) perSecond() float64 { return float64(len(t.times)) / t.took.Seconds() }
