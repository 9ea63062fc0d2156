package ratelimit

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewright/gatewright/internal/inline"
)

// goesOn is a continuation that is a function.
type goesOn func([]replied)

func (f goesOn) goOn(replies []replied, _ *inline.Answers) { f(replies) }

// leaveOne is a request for one item that no goroutine waits with.
func (l *lane) leaveOne(cost int64, then func(Result, error)) {
	l.askLater([]call{{op: opTake, items: []item{{key: "k", Demand: Demand{Cost: cost}}}}}, goesOn(func(replies []replied) {
		if len(replies) != 1 {
			then(Result{}, errors.New("not one reply"))
		} else if replies[0].err != nil {
			then(Result{}, replies[0].err)
		} else {
			then(replies[0].results[0], nil)
		}
	}))
}

// Requests with and without a goroutine share calls, in order, each gets the reply to
// its own, and nobody but the lane's one goroutine waits with those that have none.
func TestLaneSharesCallsWithThoseThatAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		l, _ := laneOn(t, f)
		under := make(chan struct{})
		l.server = func(ctx context.Context, calls []call) []replied {
			<-under
			return f.answer(ctx, calls)
		}
		var answered atomic.Int64
		before := runtime.NumGoroutine()
		leave := func(i int64) {
			l.leaveOne(i, func(r Result, err error) {
				answered.Add(1)
				if err != nil || r.Remaining != i {
					t.Errorf("request %d got the reply to %d, %v", i, r.Remaining, err)
				}
			})
		}
		leave(0)
		synctest.Wait() // the lane has taken it
		for i := range int64(99) {
			leave(i + 1)
		}
		if n := runtime.NumGoroutine() - before; n > 1 {
			t.Errorf("%d goroutines for requests that none waits with", n)
		}
		waited := make(chan struct{})
		go func() {
			defer close(waited)
			if r, err := l.takeOne(1000); err != nil || r.Remaining != 1000 {
				t.Errorf("the request of a goroutine got the reply to %d, %v", r.Remaining, err)
			}
		}()
		synctest.Wait()
		for i := range int64(100) {
			leave(i + 100)
		}
		close(under)
		<-waited
		synctest.Wait()
		if n := answered.Load(); n != 200 {
			t.Errorf("%d of 200 went on", n)
		}
		if want := []int{1, mostTogether, 200 - mostTogether}; !slices.Equal(f.sizes, want) {
			t.Errorf("calls of %v requests, want %v", f.sizes, want)
		}
		leave(7)
		synctest.Wait()
		if answered.Load() != 201 {
			t.Error("a request alone did not go on")
		}
	})
}

// The next call is with the server before anybody goes on with the last one: this one
// goes on for as long as there is none.
func TestLaneKeepsTheServerBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		l, _ := laneOn(t, f)
		under := make(chan struct{})
		asked := 0
		second := make(chan struct{})
		l.server = func(ctx context.Context, calls []call) []replied {
			if asked++; asked == 2 {
				close(second)
			}
			<-under
			return f.answer(ctx, calls)
		}
		done := make(chan struct{})
		l.leaveOne(1, func(Result, error) {
			select {
			case <-second:
			case <-time.After(time.Second):
				t.Error("nothing was sent while a request went on")
			}
		})
		synctest.Wait()
		l.leaveOne(2, func(Result, error) { close(done) })
		close(under)
		<-done
	})
}

// A request that is left goes on in the timeout, with the server and in the queue
// together, as all that wait with the one that fails; and at once while the server is
// down, or the lane closed.
func TestLaneBoundsTheWaitOfThoseThatAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{hang: true}
		l, _ := laneOn(t, f)
		begin := time.Now()
		var n atomic.Int64
		leave := func(longest time.Duration) {
			asked := time.Now()
			l.leaveOne(1, func(_ Result, err error) {
				n.Add(1)
				if waited := time.Since(asked); err == nil || waited > longest {
					t.Errorf("a request waited %v and got %v, want an error in %v", waited, err, longest)
				}
			})
		}
		for range 300 {
			time.Sleep(time.Millisecond / 15)
			leave(20 * time.Millisecond)
		}
		time.Sleep(time.Until(begin.Add(20*time.Millisecond + time.Millisecond/15)))
		synctest.Wait()
		if takes, _ := f.noted(); n.Load() != 300 || takes != 1 {
			t.Errorf("%d of 300 requests went on after the first one's time, and %d calls were made", n.Load(), takes)
		}
		leave(0)
		if n.Load() != 301 {
			t.Error("a request waits for a server that is down")
		}
		l.close()
		leave(0)
		if n.Load() != 302 {
			t.Error("a request waits for a lane that is closed")
		}
	})
}

// A lane that is closed under load has ended when close returns, and all have gone on.
func TestLaneClosesWithItsGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{}
		l, _ := laneOn(t, f)
		l.server = func(ctx context.Context, calls []call) []replied {
			time.Sleep(time.Millisecond)
			return f.answer(ctx, calls)
		}
		var n atomic.Int64
		for range 300 {
			l.leaveOne(1, func(Result, error) { n.Add(1) })
		}
		l.close()
		if n := n.Load(); n != 300 {
			t.Errorf("%d of 300 requests went on before the lane was closed", n)
		}
	})
}

// What is owed is charged in the same call, before a request that is left, and is owed
// again where nobody knows whether it was.
func TestDebtsOfThoseThatAreLeft(t *testing.T) {
	for name, fault := range map[string]error{"charged": nil, "lost": errBroken} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeServer{}
				l, _ := laneOn(t, f)
				f.set(fault)
				var asked []op
				answer := l.server
				l.server = func(ctx context.Context, calls []call) []replied {
					for _, c := range calls {
						asked = append(asked, c.op)
					}
					return answer(ctx, calls)
				}
				debts := []item{{key: "k", Demand: Demand{Cost: 5}}}
				back := 0
				s := &shared{
					settle:    func([]item) []item { owed := debts; debts = nil; return owed },
					unsettled: func(items []item) { back += len(items) },
				}
				var got []replied
				for range 2 {
					s.askLater(l, []call{{op: opTake, items: []item{{key: "k", Demand: Demand{Cost: 1}}}}}, goesOn(func(r []replied) { got = append(got, r...) }))
				}
				synctest.Wait()
				if want := []op{opForce, opTake, opTake}; !slices.Equal(asked, want) {
					t.Errorf("asked to %v, want %v", asked, want)
				}
				if len(got) != 2 || !errors.Is(got[0].err, fault) || !errors.Is(got[1].err, fault) {
					t.Fatalf("replies %+v, want two, %v", got, fault)
				}
				if fault == nil && got[0].results[0].Remaining != 1 {
					t.Errorf("a request got the reply to %d", got[0].results[0].Remaining)
				}
				if lost := fault != nil; lost != (back == 1) {
					t.Errorf("%d debts were taken back", back)
				}
			})
		})
	}
}
