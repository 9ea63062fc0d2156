package breakerpolicy

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/outcome"
	"github.com/gatewright/gatewright/internal/testenv"
)

// fleet is three instances on one Redis.
type fleet struct {
	t   *testing.T
	all []*Breakers
	log []*testenv.Output
}

// patient is longer than a busy machine takes to answer.
const patient = 5 * time.Second

func newFleet(t *testing.T, url string, timeout time.Duration, c config.Breaker) *fleet {
	f := &fleet{t: t}
	for range 3 {
		b, log := open(t, Settings{RedisURL: url, RedisTimeout: timeout}, users(c))
		f.all, f.log = append(f.all, b), append(f.log, log)
	}
	f.until("all instances share the breaker", func(_ int, s Status) bool { return s.Shared })
	return f
}

// until waits until it holds for each instance.
func (f *fleet) until(what string, holds func(i int, s Status) bool) {
	f.t.Helper()
	testenv.Eventually(f.t, what, func() error {
		for i, b := range f.all {
			if s := b.table.Load().all[0].status(b.now()); !holds(i, s) {
				return fmt.Errorf("instance %d has %+v", i, s)
			}
		}
		return nil
	})
}

func (f *fleet) untilAll(state State) {
	f.t.Helper()
	f.until("all are "+string(state), func(_ int, s Status) bool { return s.State == state })
}

// trip has requests fail, a part of them at each instance: none sees enough alone.
func (f *fleet) trip() {
	f.t.Helper()
	for _, b := range f.all {
		fail(f.t, b, 7)
	}
	f.untilAll(StateOpen)
}

// probes has a request come to each instance, many times, until some have been a
// probe; at least so many must have been in the end, and all that were are returned.
func (f *fleet) probe() (probe string, at *Breakers) {
	f.t.Helper()
	testenv.Eventually(f.t, "a request is the probe", func() error {
		for _, b := range f.all {
			if a := b.Admit("r", "users"); a.Probe != "" {
				probe, at = a.Probe, b
				return nil
			} else if !a.Denied {
				f.t.Fatalf("a request passed: %+v", a)
			}
		}
		return fmt.Errorf("none is")
	})
	return probe, at
}

// quiet has requests come to all instances for a time: none may pass.
func (f *fleet) quiet(d time.Duration) {
	f.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for i, b := range f.all {
			if a := b.Admit("r", "users"); !a.Denied {
				f.t.Fatalf("instance %d let a request pass: %+v", i, a)
			}
		}
	}
}

func short() config.Breaker {
	return config.Breaker{OpenFor: config.Duration(400 * time.Millisecond), ProbeLease: config.Duration(time.Second)}
}

// Three instances of which none sees enough requests open together; then one of
// them has the only probe, whose success closes all.
func TestFleetTripsProbesAndCloses(t *testing.T) {
	t.Parallel()
	f := newFleet(t, testenv.StartRedis(t).URL(), patient, short())
	f.trip()
	began := time.Now()
	probe, at := f.probe()
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("probed %s after all were open, want not before 400ms after the first was", took)
	}
	f.quiet(300 * time.Millisecond)
	other := f.all[(slices.Index(f.all, at)+1)%3] // its Envoy may tell another instance
	other.Observe(probeEnded(probe, 200))
	f.untilAll(StateClosed)
	for i, b := range f.all {
		if a := b.Admit("r", "users"); a.Denied {
			t.Errorf("instance %d: %+v", i, a)
		}
	}
	var opened, closed uint64
	for _, b := range f.all {
		opened += b.table.Load().all[0].counts.toOpen.Load()
		closed += b.table.Load().all[0].counts.toClosed.Load()
	}
	equal(t, "times it was counted that it opened", opened, 1)
	equal(t, "times it was counted that it closed", closed, 1)
}

// Backends that fail in every way, for three instances under load: the probes are
// counted one by one.
func TestFleetCountsOfProbes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		probes []int // the statuses of the probes, in turn
		want   State
	}{
		"back at once":                {[]int{200}, StateClosed},
		"down for long":               {[]int{503, 503, 503, 503}, StateOpen},
		"flapping":                    {[]int{500, 500, 200}, StateClosed},
		"of whose clients some leave": {[]int{0, 0, 200}, StateClosed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, testenv.StartRedis(t).URL(), patient, short())
			f.trip()
			probes := 0
			var passed sync.Map
			for _, status := range c.probes {
				probe, at := f.probe()
				if _, twice := passed.LoadOrStore(probe, true); twice {
					t.Errorf("the probe %s went out twice", probe)
				}
				probes++
				f.quiet(50 * time.Millisecond)
				o := probeEnded(probe, status)
				if status == 0 {
					o.Flags, o.FirstByte = outcome.ClientGone, 0
				}
				at.Observe(o)
				if status != 200 {
					f.quiet(50 * time.Millisecond * time.Duration(min(status, 1)))
				}
			}
			f.untilAll(c.want)
			equal(t, "probes", probes, len(c.probes))
			var counted uint64
			for _, b := range f.all {
				counted += b.table.Load().all[0].counts.probed.Load()
			}
			equal(t, "probes that were counted", counted, uint64(len(c.probes)))
		})
	}
}

// The instance that has the probe goes without a word: after the lease another has
// it, once.
func TestFleetProbeHolderDies(t *testing.T) {
	t.Parallel()
	f := newFleet(t, testenv.StartRedis(t).URL(), patient, short())
	f.trip()
	probe, at := f.probe()
	f.all = slices.DeleteFunc(f.all, func(b *Breakers) bool { return b == at })
	at.die()
	began := time.Now()
	f.quiet(500 * time.Millisecond)
	second, _ := f.probe()
	if took := time.Since(began); took < time.Second {
		t.Errorf("given out again after %s, want after the lease of 1s", took)
	}
	if second == probe {
		t.Error("the same probe again")
	}
	f.quiet(300 * time.Millisecond)
	f.all[0].Observe(probeEnded(probe, 500)) // late, and of nobody any more
	f.quiet(100 * time.Millisecond)
	f.all[0].Observe(probeEnded(second, 200))
	f.untilAll(StateClosed)
}

// die ends the goroutines without a last word.
func (b *Breakers) die() {
	b.stop()
	<-b.stopped
	b.flights.Wait()
	b.table.Store(&table{}) // what Close would tell of
}

// An instance that stops gives back the probe that it holds.
func TestFleetProbeHolderStops(t *testing.T) {
	t.Parallel()
	c := short()
	c.ProbeLease = config.Duration(time.Hour)
	f := newFleet(t, testenv.StartRedis(t).URL(), patient, c)
	f.trip()
	var holder int
	testenv.Eventually(t, "one holds the probe", func() error {
		for i, b := range f.all {
			if b.table.Load().all[0].holds() {
				holder = i
				return nil
			}
		}
		return fmt.Errorf("none does")
	})
	if err := f.all[holder].Close(); err != nil {
		t.Fatal(err)
	}
	f.all = slices.Delete(f.all, holder, holder+1)
	f.probe()
}

// A request comes to an instance while another holds the probe in vain: the next one
// that comes there is the probe.
func TestFleetProbeGoesWhereRequestsAre(t *testing.T) {
	t.Parallel()
	f := newFleet(t, testenv.StartRedis(t).URL(), patient, short())
	f.trip()
	var holder int
	testenv.Eventually(t, "one holds the probe", func() error {
		for i, b := range f.all {
			if b.table.Load().all[0].holds() {
				holder = i
				return nil
			}
		}
		return fmt.Errorf("none does")
	})
	other := f.all[(holder+1)%3]
	testenv.Eventually(t, "it goes to where a request is", func() error {
		if a := other.Admit("r", "users"); a.Probe == "" {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
}

// What an operator does at one instance is so on all, within the second in which
// each of them looks; and at once where requests come.
func TestFleetForce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, testenv.StartRedis(t).URL(), patient, short())
	for _, c := range []struct {
		force Force
		state State
	}{{ForceOpen, StateOpen}, {ForceClosed, StateClosed}} {
		s, err := f.all[1].Force(t.Context(), "users", c.force)
		if err != nil || !s.Shared || s.State != c.state || s.Forced != c.force {
			t.Fatalf("%+v, %v", s, err)
		}
		f.until("all are forced", func(_ int, s Status) bool { return s.Forced == c.force && s.State == c.state })
	}
	late, _ := open(t, Settings{RedisURL: f.url(), RedisTimeout: patient}, users(short()))
	equal(t, "an instance that starts later has it", late.List()[0].Forced, ForceClosed)
	if _, err := f.all[2].Force(t.Context(), "users", Auto); err != nil {
		t.Fatal(err)
	}
	f.until("none is forced", func(_ int, s Status) bool { return s.Forced == Auto })
}

func (f *fleet) url() string { return "unix://" + f.all[0].redis.client.(*redis.Client).Options().Addr }

// An instance that starts while the breaker is open lets nothing pass.
func TestFleetNewInstance(t *testing.T) {
	t.Parallel()
	c := short()
	c.OpenFor = config.Duration(time.Minute)
	f := newFleet(t, testenv.StartRedis(t).URL(), patient, c)
	f.trip()
	b, _ := open(t, Settings{RedisURL: f.url(), RedisTimeout: patient}, users(c))
	if a := b.Admit("r", "users"); !a.Denied || a.State != StateOpen {
		t.Errorf("its first request: %+v", a)
	}
}

// Nobody has asked an instance for long, so it seldom looks: the first request that comes
// has it look at once, and without any it knows in the end.
func TestFleetIdleInstance(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]bool{"a request comes": true, "none comes": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idleInstance(t, request)
		})
	}
}

func idleInstance(t *testing.T, request bool) {
	c := short()
	c.OpenFor = config.Duration(time.Hour)
	f := newFleet(t, testenv.StartRedis(t).URL(), patient, c)
	idle := f.all[2]
	cell := idle.table.Load().all[0]
	testenv.Eventually(t, "it looks seldom", func() error {
		cell.asked.Store(idle.now() - idleFor - 1)
		if idle.now()-cell.reported.Load() < 2*idleEvery {
			return fmt.Errorf("it has looked")
		}
		return nil
	})
	for range 10 {
		fail(t, f.all[0], 1)
		fail(t, f.all[1], 1)
	}
	f.all = f.all[:2]
	f.untilAll(StateOpen)
	if request {
		if _, wake := cell.admit(idle.now()); !wake && cell.view.Load().State == StateClosed {
			t.Error("it does not look")
		}
		idle.wake()
	}
	testenv.Eventually(t, "it knows", func() error {
		if s := cell.view.Load().State; s != StateOpen {
			return fmt.Errorf("it is %s", s)
		}
		return nil
	})
}

// One instance of three has no Redis, and opens alone by what it sees. When it has
// Redis again, it does as the others, who knew more.
func TestFleetPartitionedInstance(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	c := short()
	c.OpenFor = config.Duration(time.Hour)
	f := newFleet(t, server.URL(), patient, c)
	proxy := testenv.StartSlow(t, server.Addr)
	far, _ := open(t, Settings{RedisURL: "redis://" + proxy.Addr, RedisTimeout: leastTimeout}, users(c))
	one := &fleet{t: t, all: []*Breakers{far}}
	one.until("it shares the breaker", func(_ int, s Status) bool { return s.Shared })
	defer f.traffic()()

	proxy.Delay(time.Second)
	one.until("it is alone", func(_ int, s Status) bool { far.Admit("r", "users"); return !s.Shared })
	for range 20 {
		far.Observe(ended(500))
	}
	one.until("it is open", func(_ int, s Status) bool { return s.State == StateOpen && !s.Shared })
	f.untilAll(StateClosed)
	proxy.Delay(0)
	one.until("it is closed, as the others", func(_ int, s Status) bool { return s.State == StateClosed && s.Shared })
	f.untilAll(StateClosed)
}

// Redis goes, in whichever way, and comes back: nothing opens and nothing closes by
// that, and nothing is stuck.
func TestFleetWithoutRedis(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		begin, end func(*testenv.Redis)
	}{
		"killed, its data lost": {func(r *testenv.Redis) { r.Kill() }, func(r *testenv.Redis) { r.Start() }},
		"stopped":               {func(r *testenv.Redis) { r.Signal(syscall.SIGSTOP) }, func(r *testenv.Redis) { r.Signal(syscall.SIGCONT) }},
		"out of memory": {
			func(r *testenv.Redis) { r.Do("CONFIG", "SET", "maxmemory", "1") },
			func(r *testenv.Redis) { r.Do("CONFIG", "SET", "maxmemory", "0") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartRedis(t)
			c := short()
			c.OpenFor = config.Duration(6 * time.Second)
			f := newFleet(t, server.URL(), leastTimeout, c)
			// Traffic, so that instances find out at once.
			stop := f.traffic()
			defer stop()

			fault.begin(server)
			f.until("all are alone, and closed", func(_ int, s Status) bool { return !s.Shared && s.State == StateClosed })
			fault.end(server)
			f.until("all share it again, and it is closed", func(_ int, s Status) bool { return s.Shared && s.State == StateClosed })
			stop()

			// Where all of this takes longer than it is open, it is probed meanwhile.
			probed := time.Now().Add(time.Duration(c.OpenFor))
			open := func(s Status) bool { return s.State == StateOpen || time.Now().After(probed) }
			f.tripUnlessOpen()
			fault.begin(server)
			stopDenied := f.traffic()
			f.until("all are alone, and open", func(_ int, s Status) bool { return !s.Shared && open(s) })
			fault.end(server)
			f.until("all share it again, and it is open", func(_ int, s Status) bool { return s.Shared && open(s) })
			fault.begin(server)
			f.until("each probes alone, and closes", func(_ int, s Status) bool { return !s.Shared && s.State == StateClosed })
			fault.end(server)
			f.until("all share it again, and it is closed", func(_ int, s Status) bool { return s.Shared && s.State == StateClosed })
			stopDenied()
		})
	}
}

// tripUnlessOpen opens the breaker also where a report was lost.
func (f *fleet) tripUnlessOpen() {
	f.t.Helper()
	testenv.Eventually(f.t, "all are open", func() error {
		all := true
		for _, b := range f.all {
			for range 7 {
				if a := b.Admit("r", "users"); !a.Denied {
					b.Observe(ended(500))
				}
			}
			all = all && b.table.Load().all[0].view.Load().State == StateOpen
		}
		if !all {
			return fmt.Errorf("not yet")
		}
		return nil
	})
}

// traffic has requests come to all instances, which succeed where they pass, until
// it is stopped.
func (f *fleet) traffic() (stop func()) {
	done := make(chan struct{})
	var clients sync.WaitGroup
	for _, b := range f.all {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Millisecond):
				}
				if a := b.Admit("r", "users"); a.Probe != "" {
					b.Observe(probeEnded(a.Probe, 200))
				} else if !a.Denied {
					b.Observe(ended(200))
				}
			}
		})
	}
	return sync.OnceFunc(func() {
		close(done)
		clients.Wait()
	})
}
