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

// fakeStore answers or fails as it is told, and notes when it was probed.
type fakeStore struct {
	mu     sync.Mutex // guards all below
	err    error
	hang   bool
	takes  int
	probes []time.Duration
	began  time.Time
	closed bool
}

func (f *fakeStore) take(ctx context.Context, items []item) ([]Result, error) {
	f.mu.Lock()
	f.takes++
	err, hang := f.err, f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return make([]Result, len(items)), err
}

func (f *fakeStore) run(context.Context, []call) ([][]Result, error) { return nil, f.err }

func (f *fakeStore) ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.probes = append(f.probes, time.Since(f.began))
	return f.err
}

func (f *fakeStore) close() error {
	f.closed = true
	return nil
}

func (f *fakeStore) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.began, f.probes, f.takes = err, time.Now(), nil, 0
}

func (f *fakeStore) noted() (takes int, probes []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takes, slices.Clone(f.probes)
}

// guardOn is a guard of a fake store in a synctest bubble, where time passes
// when all wait, and the log it writes.
func guardOn(t *testing.T, f *fakeStore) (*guard, *bytes.Buffer) {
	var log bytes.Buffer
	g := newGuard(f, 20*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil)), newMetrics())
	t.Cleanup(func() {
		if err := g.close(); err != nil || !f.closed {
			t.Errorf("closing: %v, store closed: %t", err, f.closed)
		}
	})
	return g, &log
}

var errBroken = errors.New("broken")

// After a failure no request reaches the store; probes do, at doubled
// distances, and only they bring it back.
func TestGuardProbesAloneDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{}
		g, log := guardOn(t, f)
		f.set(errBroken)
		for range 1000 {
			if _, err := g.take(context.Background(), nil); err == nil {
				t.Fatal("no error from a broken store")
			}
		}
		for range 30 { // seconds
			time.Sleep(time.Second)
			_, _ = g.take(context.Background(), nil)
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
		if _, err := g.take(context.Background(), nil); err != nil || !g.up() {
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
		f := &fakeStore{}
		g, _ := guardOn(t, f)
		for range 3 {
			f.set(errBroken)
			_, _ = g.take(context.Background(), nil)
			time.Sleep(2 * time.Second)
			f.set(nil)
			_, _ = g.take(context.Background(), nil)
			time.Sleep(longestCoolDown)
			synctest.Wait()
			if !g.up() {
				t.Fatal("down, want up")
			}
		}
		f.set(errBroken)
		_, _ = g.take(context.Background(), nil)
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
		f := &fakeStore{}
		g, _ := guardOn(t, f)
		f.set(errBroken)
		term := g.term.Load()
		_, _ = g.take(context.Background(), nil)
		f.set(nil)
		time.Sleep(firstCoolDown)
		synctest.Wait()
		g.fail(term, errBroken)
		if !g.up() {
			t.Error("a failure of the last term took the store down")
		}
	})
}

// A request waits for the timeout and no longer; one whose client has gone
// neither fails for it nor takes the store down.
func TestGuardBoundsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{}
		g, _ := guardOn(t, f)
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := g.take(gone, nil); err != nil || !g.up() {
			t.Errorf("a client that hung up: %v, up %t", err, g.up())
		}
		f.hang = true
		begin := time.Now()
		_, err := g.take(context.Background(), nil)
		if waited := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || waited != 20*time.Millisecond {
			t.Errorf("waited %v and got %v, want the timeout of 20ms", waited, err)
		}
	})
}

// A store that is down at the start is waited for in the background.
func TestGuardStartsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{err: errBroken}
		g, log := guardOn(t, f)
		if _, err := g.take(context.Background(), nil); !errors.Is(err, errStoreDown) {
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

func (f *fakeStore) lease(context.Context, string, []renewal) ([]renewed, error) {
	return nil, errors.New("no leases here")
}
