package ratelimit

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// As TestStoresAreTheArithmetic, of a Redis that is killed and started again between
// calls: with its data as if nothing had been, without as if nothing had been counted.
func TestRestartsAreTheArithmetic(t *testing.T) {
	t.Parallel()
	server := testenv.StartDurableRedis(t)
	s := onRedis(t, server)
	restarts := map[bool]int{}
	restart := func(forget bool) {
		restarts[forget]++
		server.Kill()
		if forget {
			server.Forget()
		}
		server.Start()
	}
	rapid.Check(t, func(t *rapid.T) {
		s.clear()
		s.clock.Store(rapid.Int64Range(1, 1<<51).Draw(t, "start"))
		calls := callsGen(t)
		pure := map[string]State{}
		t.Repeat(map[string]func(*rapid.T){
			"clock": func(t *rapid.T) { s.clock.Store(max(s.clock.Load()+stepGen.Draw(t, "step"), 0)) },
			"run":   func(t *rapid.T) { checkRun(t, s, calls.Draw(t, "calls"), pure) },
			"restart": func(t *rapid.T) {
				if rapid.IntRange(0, 15).Draw(t, "not") > 0 { // it takes long
					t.Skip()
				}
				forget := rapid.Bool().Draw(t, "forget")
				restart(forget)
				if forget {
					clear(pure)
				}
			},
		})
	})
	t.Logf("restarted %d times with its data, %d times without", restarts[false], restarts[true])
}

// Redis is killed and started again while several instances are under load, F times:
// without its data they admit C·(1 + F) + R·T at most, and with it C + R·T, for all
// that was answered is on its disk; tokens that they hold ahead among them.
func TestFleetBoundOverRestarts(t *testing.T) {
	for name, run := range map[string]struct {
		forget      bool
		consistency config.Consistency
	}{
		"without its data":         {true, config.Exact},
		"with its data":            {false, config.Exact},
		"leased, without its data": {true, config.Lease},
		"leased, with its data":    {false, config.Lease},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const instances, capacity, rate, restarts = 3, 200, 20, 4
			server := testenv.StartDurableRedis(t)
			f := newFleet(t, server, instances)
			// What is admitted without Redis has tests of its own.
			limit := perUser("l", capacity, config.FailDeny)
			limit.TokenBucket.Refill, limit.Consistency = config.Rate{Events: rate, Per: time.Second}, run.consistency
			var denied, without atomic.Int64
			stop := make(chan struct{})
			var traffic sync.WaitGroup
			begin := time.Now()
			for i := range 4 * instances {
				traffic.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						switch d := f.instances[i%instances].Take(context.Background(), charges(limit)); {
						case d.Allowed:
							f.admitted.Add(1)
						case d.Unavailable:
							without.Add(1)
							time.Sleep(time.Millisecond) // it takes nothing at all: let Redis start
						default:
							denied.Add(1)
						}
					}
				})
			}
			usedUp := func() {
				t.Helper()
				from := denied.Load()
				waitFor(t, "the limit to be used up", func() bool { return denied.Load() > from+100 })
			}
			for range restarts {
				usedUp()
				server.Kill()
				if run.forget {
					server.Forget()
				}
				server.Start()
				for _, l := range f.instances {
					waitFor(t, "Redis to decide", l.shared.up)
				}
			}
			usedUp()
			close(stop)
			traffic.Wait()
			took := time.Since(begin)
			least, most := int64(capacity), capacity+int64(rate*took.Seconds())+1
			if run.forget {
				least, most = least*(1+restarts), most+capacity*restarts
			}
			least = least * 3 / 4 // what was charged and not answered is lost, and what was leased
			t.Logf("%d admitted in %v and %d restarts, %d denied, %d not decided; the bound is %d", f.admitted.Load(), took, restarts, denied.Load(), without.Load(), most)
			if n := f.admitted.Load(); n > most || n < least {
				t.Errorf("%d admitted, want at least %d and at most %d", n, least, most)
			}
			if without.Load() == 0 {
				t.Error("no request came while Redis was gone: the test proves nothing")
			}
		})
	}
}
