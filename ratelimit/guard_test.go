package ratelimit

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeServer answers or fails as it is told, and notes when it was probed.
type fakeServer struct {
	mu     sync.Mutex // guards all below
	err    error
	hang   bool
	takes  int
	sizes  []int // the calls in each
	probes []time.Duration
	began  time.Time
}

func (f *fakeServer) answer(ctx context.Context, calls []call) []replied {
	f.mu.Lock()
	f.takes++
	f.sizes = append(f.sizes, len(calls))
	err, hang := f.err, f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		err = ctx.Err()
	}
	replies := make([]replied, len(calls))
	for i, c := range calls {
		replies[i] = replied{results: make([]Result, len(c.items)), err: err}
		for j := range replies[i].results {
			replies[i].results[j].Remaining = c.items[j].Cost // whose it is
		}
	}
	return replies
}

func (f *fakeServer) ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.probes = append(f.probes, time.Since(f.began))
	return f.err
}

func (f *fakeServer) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.began, f.probes, f.takes, f.sizes = err, time.Now(), nil, 0, nil
}

func (f *fakeServer) noted() (takes int, probes []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takes, slices.Clone(f.probes)
}

// laneOn is a lane to a fake server in a synctest bubble, where time passes when
// all wait, and the log it writes.
func laneOn(t *testing.T, f *fakeServer) (*lane, *bytes.Buffer) {
	var log bytes.Buffer
	l := &lane{server: f.answer, metrics: newMetrics()}
	l.guard = newGuard(f.ping, 20*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil)))
	l.begin()
	t.Cleanup(l.close)
	return l, &log
}

// take is a request for one item.
func (l *lane) takeOne(cost int64) (Result, error) {
	r := l.ask([]call{{op: opTake, items: []item{{key: "k", Demand: Demand{Cost: cost}}}}})[0]
	if r.err != nil {
		return Result{}, r.err
	}
	return r.results[0], nil
}

var errBroken = errors.New("broken")

// After a failure no request reaches the store; probes do, at doubled
// distances, and only they bring it back.
func TestGuardProbesAloneDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		g, log := laneOn(t, f)
		f.set(errBroken)
		for range 1000 {
			if _, err := g.takeOne(1); err == nil {
				t.Fatal("no error from a broken store")
			}
		}
		for range 30 { // seconds
			time.Sleep(time.Second)
			_, _ = g.takeOne(1)
		}
		takes, probes := f.noted()
		if takes != 1 {
			t.Errorf("%d requests reached the store, want only the one that failed", takes)
		}
		ms := time.Millisecond
		want := []time.Duration{250 * ms, 750 * ms, 1750 * ms, 3750 * ms, 7750 * ms, 12750 * ms, 17750 * ms, 22750 * ms, 27750 * ms}
		if !slices.Equal(probes, want) {
			t.Errorf("probed at %v, want %v", probes, want)
		}
		f.set(nil)
		time.Sleep(longestCoolDown)
		synctest.Wait()
		if _, err := g.takeOne(1); err != nil || !g.up() {
			t.Errorf("still down after a probe passed: %v", err)
		}
		for line, count := range map[string]int{"Redis does not answer": 1, "Redis answers again": 1} {
			if n := strings.Count(log.String(), line); n != count {
				t.Errorf("%q logged %d times, want %d:\n%s", line, n, count, log)
			}
		}
	})
}

// The cool-down begins anew with each outage.
func TestGuardStartsEachOutageWithTheFirstCoolDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		g, _ := laneOn(t, f)
		for range 3 {
			f.set(errBroken)
			_, _ = g.takeOne(1)
			time.Sleep(2 * time.Second)
			f.set(nil)
			_, _ = g.takeOne(1)
			time.Sleep(longestCoolDown)
			synctest.Wait()
			if !g.up() {
				t.Fatal("down, want up")
			}
		}
		f.set(errBroken)
		_, _ = g.takeOne(1)
		time.Sleep(firstCoolDown)
		synctest.Wait()
		if _, probes := f.noted(); len(probes) != 1 {
			t.Errorf("probed at %v, want once at %v", probes, firstCoolDown)
		}
	})
}

// A failure that comes late, of a request from before the outage, does not
// begin another.
func TestGuardForgetsLateFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		g, _ := laneOn(t, f)
		f.set(errBroken)
		term := g.term.Load()
		_, _ = g.takeOne(1)
		f.set(nil)
		time.Sleep(firstCoolDown)
		synctest.Wait()
		g.fail(term, errBroken)
		if !g.up() {
			t.Error("a failure of the last term took the store down")
		}
	})
}

// A request waits for the timeout and no longer, with the server and in the queue
// together, and all that wait end with the one that fails.
func TestLaneBoundsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{hang: true}
		l, _ := laneOn(t, f)
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 300 {
			all.Go(func() {
				time.Sleep(time.Duration(i%15) * time.Millisecond)
				asked := time.Now()
				_, err := l.takeOne(1)
				if waited := time.Since(asked); err == nil || waited > 20*time.Millisecond {
					t.Errorf("request %d waited %v and got %v, want an error in 20ms", i, waited, err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begin); took != 20*time.Millisecond {
			t.Errorf("all took %v, want 20ms: the first one's time", took)
		}
		if n, _ := f.noted(); n != 1 {
			t.Errorf("%d calls, want that of the first request alone", n)
		}
	})
}

// What comes while a call is under way goes together, in order, and each gets the
// reply to its own.
func TestLaneSharesCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		l, _ := laneOn(t, f)
		under := make(chan struct{})
		l.server = func(ctx context.Context, calls []call) []replied {
			<-under
			return f.answer(ctx, calls)
		}
		var all sync.WaitGroup
		for i := range 300 {
			all.Go(func() {
				if r, err := l.takeOne(int64(i)); err != nil || r.Remaining != int64(i) {
					t.Errorf("request %d got the reply to %d, %v", i, r.Remaining, err)
				}
			})
		}
		synctest.Wait()
		close(under)
		all.Wait()
		if want := []int{1, mostTogether, mostTogether, 299 - 2*mostTogether}; !slices.Equal(f.sizes, want) {
			t.Errorf("calls of %v requests, want %v", f.sizes, want)
		}
		if _, err := l.takeOne(1); err != nil || f.takes != 5 {
			t.Errorf("a request alone: %v in call %d", err, f.takes)
		}
	})
}

// A store that is down at the start is waited for in the background.
func TestGuardStartsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{err: errBroken}
		g, log := laneOn(t, f)
		if _, err := g.takeOne(1); !errors.Is(err, errStoreDown) {
			t.Errorf("got %v, want %v", err, errStoreDown)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines logged, want 1:\n%s", n, log)
		}
		f.set(nil)
		time.Sleep(firstCoolDown)
		synctest.Wait()
		if !g.up() {
			t.Error("down, want up after the first probe")
		}
	})
}
