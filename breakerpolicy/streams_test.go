package breakerpolicy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/outcome"
	"github.com/gatewright/gatewright/internal/testenv"
)

// backend answers requests as a script says, and knows who is there.
type backend struct {
	answer func(nth int64) outcome.Outcome // how it ends, and how long that takes
	healed atomic.Bool                     // from then on all is well

	requests, probes, probing atomic.Int64
	most                      atomic.Int64 // probes at the same time
}

// serve is one request; it returns when it has ended.
func (b *backend) serve(probe string) outcome.Outcome {
	n := b.requests.Add(1)
	if probe != "" {
		b.probes.Add(1)
		at := b.probing.Add(1)
		for most := b.most.Load(); at > most && !b.most.CompareAndSwap(most, at); most = b.most.Load() {
		}
		defer b.probing.Add(-1)
	}
	o := ended(200)
	if !b.healed.Load() {
		o = b.answer(n)
	}
	time.Sleep(o.Duration)
	o.Breaker = probe
	return o
}

// logDelay is how long after a response Envoy tells of it: 10 to 60 ms, as it was
// measured.
func logDelay() time.Duration { return 10*time.Millisecond + rand.N(50*time.Millisecond) }

// drive has requests come to each instance of the fleet, so many a second, until it
// is stopped. One of two ends is told to another instance than the one that admitted
// it, as when an Envoy connects anew.
func (f *fleet) drive(b *backend, perSecond int) (stop func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	for i, at := range f.all {
		all.Go(func() {
			tick := time.NewTicker(time.Second / time.Duration(perSecond))
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				a := at.Admit("r", "users")
				if a.Denied {
					continue
				}
				teller := f.all[(i+n%2)%len(f.all)]
				all.Go(func() {
					o := b.serve(a.Probe)
					time.Sleep(logDelay())
					teller.Observe(o)
				})
			}
		})
	}
	return sync.OnceFunc(func() {
		close(done)
		all.Wait()
	})
}

// endsAfter is an outcome that takes so long.
func endsAfter(d time.Duration, change func(o *outcome.Outcome)) outcome.Outcome {
	o := ended(200)
	o.Duration, o.FirstByte = d, d
	change(&o)
	return o
}

// Backends that fail in every way: the breaker of three instances opens; then the
// backend sees probes and nothing else, one at a time, each of them counted; and when
// it is well again, all instances let everything pass.
func TestFleetOfFailingBackends(t *testing.T) {
	t.Parallel()
	began := time.Now()
	for name, answer := range map[string]func(nth int64) outcome.Outcome{
		"slow": func(int64) outcome.Outcome {
			return endsAfter(150*time.Millisecond, func(*outcome.Outcome) {})
		},
		"60 % errors": func(nth int64) outcome.Outcome {
			return endsAfter(2*time.Millisecond, func(o *outcome.Outcome) {
				if nth%5 < 3 {
					o.Status = 500
				}
			})
		},
		"flapping": func(int64) outcome.Outcome {
			return endsAfter(2*time.Millisecond, func(o *outcome.Outcome) {
				if time.Since(began)/(400*time.Millisecond)%2 == 0 {
					o.Status = 502
				}
			})
		},
		"hanging": func(int64) outcome.Outcome {
			return endsAfter(400*time.Millisecond, func(o *outcome.Outcome) {
				o.Status, o.Flags, o.FirstByte = 504, outcome.Timeout, 0
			})
		},
		"refusing": func(int64) outcome.Outcome {
			return endsAfter(0, func(o *outcome.Outcome) {
				o.Status, o.Flags, o.FirstByte = 503, outcome.ConnectFailure, 0
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, testenv.StartRedis(t).URL(), patient, config.Breaker{
				Window: config.Duration(2 * time.Second), OpenFor: config.Duration(300 * time.Millisecond), ProbeLease: config.Duration(10 * time.Second),
				Failures: config.BreakerFailures{SlowerThan: config.Duration(100 * time.Millisecond)},
			})
			b := &backend{answer: answer}
			stop := f.drive(b, 100)
			defer stop()
			testenv.Eventually(t, "some probes have been out", func() error {
				if n := b.probes.Load(); n < 3 {
					return fmt.Errorf("%d have", n)
				}
				return nil
			})
			b.healed.Store(true)
			f.untilAll(StateClosed)
			passed := b.requests.Load()
			testenv.Eventually(t, "requests pass", func() error {
				if n := b.requests.Load() - passed; n < 50 {
					return fmt.Errorf("%d have", n)
				}
				return nil
			})
			f.untilAll(StateClosed)
			stop()

			var given, ok, opened, halfOpened, closed uint64
			for _, at := range f.all {
				n := &at.table.Load().all[0].counts
				given += n.probed.Load()
				ok += n.probeOK.Load()
				opened += n.toOpen.Load()
				halfOpened += n.toHalfOpen.Load()
				closed += n.toClosed.Load()
			}
			t.Logf("%d requests reached it, %d of them probes; it opened %d times and closed %d times", b.requests.Load(), b.probes.Load(), opened, closed)
			equal(t, "most probes at the same time", b.most.Load(), 1)
			equal(t, "probes that the backend has seen", uint64(b.probes.Load()), given)
			equal(t, "times that it was half-open, and had one probe", halfOpened, given)
			equal(t, "times that it closed, each by the success of its probe", closed, ok)
			equal(t, "times that it opened, and was half-open after it", opened, halfOpened)
		})
	}
}

// What leaks after the trip, and how long it takes until each instance denies,
// measured over many trips. The time is told and not held to anything, since that is
// the machine's; what has leaked is at most what came in that time.
func TestFleetLeakAfterTheTrip(t *testing.T) {
	const perSecond, trips = 200, 40
	f := newFleet(t, testenv.StartRedis(t).URL(), patient, config.Breaker{
		OpenFor: config.Duration(100 * time.Millisecond), ProbeLease: config.Duration(10 * time.Second),
	})
	var delays []time.Duration
	var leaks []int
	for range trips {
		delay, leak := f.tripOnce(perSecond)
		delays = append(delays, delay...)
		leaks = append(leaks, leak)
		if most := 3*perSecond*int(slices.Max(delay)/time.Millisecond)/1000 + 3*2; leak > most {
			t.Errorf("%d requests passed after the trip, of %d that came until the last instance denied", leak, most)
		}
		probe, at := f.probe()
		at.Observe(probeEnded(probe, 200))
		f.untilAll(StateClosed)
		time.Sleep(5 * time.Millisecond) // longer than a request takes: those to come begin after it has closed
	}
	slices.Sort(delays)
	slices.Sort(leaks)
	p := func(of int) time.Duration {
		return delays[min(len(delays)*of/100, len(delays)-1)].Round(time.Millisecond)
	}
	t.Logf("from the end that is one too many, known to one instance, to the first denial of each of three: p50 %s, p99 %s, most %s over %d trips; requests that passed meanwhile, at %d/s: p50 %d, most %d",
		p(50), p(99), p(100), trips, 3*perSecond, leaks[len(leaks)/2], leaks[len(leaks)-1])
}

// tripOnce has requests come and fail, as if each took a millisecond, and tells how
// long after the failure that is one too many each instance denies, and how many
// requests passed meanwhile.
func (f *fleet) tripOnce(perSecond int) (delays []time.Duration, leaked int) {
	var mu sync.Mutex
	var ended int
	var tripped time.Time
	var all sync.WaitGroup
	for _, at := range f.all {
		all.Go(func() {
			tick := time.NewTicker(time.Second / time.Duration(perSecond))
			defer tick.Stop()
			for range tick.C {
				a := at.Admit("r", "users")
				mu.Lock()
				switch {
				case a.Denied:
					delays = append(delays, max(time.Since(tripped), 0))
					mu.Unlock()
					return
				case !tripped.IsZero():
					leaked++
				}
				mu.Unlock()
				all.Go(func() {
					time.Sleep(logDelay())
					at.Observe(probeEnded("", 500))
					mu.Lock()
					defer mu.Unlock()
					if ended++; ended == 20 {
						tripped = time.Now()
					}
				})
			}
		})
	}
	all.Wait()
	return delays, leaked
}

// Two Envoys tell of requests to the same backend at the same time.
func BenchmarkObserveParallel(b *testing.B) {
	br, _ := open(b, Settings{}, users(config.Breaker{}))
	o := ended(200)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			br.Observe(o)
		}
	})
}
