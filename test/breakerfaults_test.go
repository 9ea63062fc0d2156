package test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestProbeHolderIsKilled: a probe whose gateway and Envoy are gone before it has ended,
// or whose Envoy alone, while its gateway lives and hears nothing, is given out again, once,
// when its lease is over, and nobody is stuck.
func TestProbeHolderIsKilled(t *testing.T) {
	t.Parallel()
	t.Run("gateway and Envoy", func(t *testing.T) {
		t.Parallel()
		probeHolderIsKilled(t, (*gateway).kill, false)
	})
	t.Run("Envoy", func(t *testing.T) {
		t.Parallel()
		probeHolderIsKilled(t, func(g *gateway) {
			pids := g.envoyPIDs()
			if err := syscall.Kill(pids[len(pids)-1], syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}, true)
	})
}

// probeHolderIsKilled tells that story; comesBack tells that the holder serves again.
func probeHolderIsKilled(t *testing.T, kill func(*gateway), comesBack bool) {
	const lease, takes = 3 * time.Second, 300 * time.Millisecond
	var holder atomic.Int64
	app := newScripted(t, bad)
	fleet := guardedFleet(t, testenv.StartRedis(t), app, "minRequests: 20, openFor: 1s, probeLease: 3s")
	d := drive(t, fleet, "/held", 30*time.Millisecond)
	d.all(t, wholeFleet, "all are open", wasOpen)
	holder.Store(-1)
	app.do(func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 0 {
			g, err := strconv.Atoi(r.URL.Query().Get("g"))
			if err != nil {
				t.Errorf("the probe is %s", r.URL)
			}
			holder.Store(int64(g))
			hangs(n, w, r)
			return
		}
		if n == 1 {
			time.Sleep(takes)
		}
		good(n, w, r)
	})
	set := time.Now()
	eventually(t, "a probe is out", func() error {
		if holder.Load() < 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	killed := int(holder.Load())
	kill(fleet[killed])
	left := slices.DeleteFunc(slices.Clone(wholeFleet), func(i int) bool { return i == killed })
	d.all(t, left, "the others have closed", wasGood)
	if comesBack {
		d.all(t, wholeFleet, "the one whose Envoy was started again has, too", wasGood)
	}
	d.stop()
	asked := app.since(set)
	if gap := asked[1].Sub(asked[0]); gap < lease {
		t.Errorf("the probe was given out again after %v, within its lease of %v", gap, lease)
	} else {
		t.Logf("the probe was given out again after %v", gap)
	}
	if gap := asked[2].Sub(asked[1]); gap < takes {
		t.Errorf("it was given out twice, within %v", gap)
	}
	if comesBack { // the counters of one that is killed are lost
		turned, sent := inFleet(fleet, `gatewright_breaker_transitions_total{breaker="app",to="half-open"}`), inFleet(fleet, `gatewright_breaker_requests_total{breaker="app",result="probe"}`)
		// One that Envoy does not wait for, on a machine that stands still, is given out in vain.
		unheard := d.unjudged()
		if sent < turned+1 || sent > turned+1+unheard {
			t.Errorf("half-open %d times, and %d probes, want one more (Envoy has given up %d judgements)", turned, sent, unheard)
		}
	}
}

// TestProbeThatAFilterDenies: where Envoy's rate limit filter counts, a request is made the
// probe before its limits are asked. One that they deny gives the probe back at once, and
// not when its lease is over; and it never comes to the backend.
func TestProbeThatAFilterDenies(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newScripted(t, good)
			config := strings.Replace(breakers, `"{{listen "public"}}"}`, `"{{listen "public"}}", rateLimit: filter}`, 1)
			g := start(t, setup{config: config, env: append(env(t), "GATEWRIGHT_ADMIN_TOKEN=operator"), values: map[string]string{
				"issuer": idp(t).Issuer(), "app": app.addr, "breaker": "minRequests: 5, openFor: 500ms, probeLease: 1h",
			}})
			limited := g.url("public", "/limited")
			for range 10 {
				get(t, limited).ok(t)
			}
			get(t, limited).denied(t, 429, "rate-limited")
			g.run("breaker", "open", "app")
			opens(t, g, "/limited")
			asked := app.requests()
			g.run("breaker", "auto", "app") // it is half-open as soon as somebody asks
			// Three probes, one after the other, each of which its limit denies.
			eventually(t, "probes are denied by the limit", func() error {
				if r := get(t, limited); !isOpen(r) {
					r.denied(t, 429, "rate-limited")
				}
				for _, series := range []string{`gatewright_breaker_requests_total{breaker="app",result="probe"}`, `gatewright_breaker_probes_total{breaker="app",result="void"}`} {
					if n := inFleet([]*gateway{g}, series); n < 3 {
						return fmt.Errorf("%s %d", series, n)
					}
				}
				return nil
			})
			if n := app.requests() - asked; n > 0 {
				t.Errorf("%d requests that the filter denies came to the backend", n)
			}
			closes(t, g, "/app/")
		})
	}
}

// TestBreakersWithoutRedis: what is open stays open where Redis is killed, or stands
// still; each gateway then probes alone, closes and opens by what it sees itself; and
// with Redis back they are one again.
func TestBreakersWithoutRedis(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct{ lose, restore func(*testenv.Redis) }{
		"killed":  {func(r *testenv.Redis) { r.Kill() }, func(r *testenv.Redis) { r.Start() }},
		"stopped": {func(r *testenv.Redis) { r.Signal(syscall.SIGSTOP) }, func(r *testenv.Redis) { r.Signal(syscall.SIGCONT) }},
	} {
		t.Run(name, func(t *testing.T) {
			app, redis := newScripted(t, bad), testenv.StartRedis(t)
			fleet := guardedFleet(t, redis, app, "minRequests: 20, openFor: 4s")
			d := drive(t, fleet, "/app/", 20*time.Millisecond)
			d.all(t, wholeFleet, "all are open", wasOpen)
			fault.lose(redis)
			lost := time.Now()
			d.first(t, lost, 10, "what is open stays open", wasOpen)
			app.do(slow(100 * time.Millisecond))
			d.all(t, wholeFleet, "each has closed by itself", wasGood)
			app.do(bad)
			d.all(t, wholeFleet, "each has opened by itself", wasOpen)
			app.do(good)
			d.all(t, wholeFleet, "each has closed again", wasGood)
			fault.restore(redis)
			eventually(t, "the word of one gateway counts for all", func() error {
				fleet[0].run("breaker", "open", "app")
				for _, g := range fleet {
					if b := g.breaker("app"); b.State != "open" || b.Forced != "open" {
						return fmt.Errorf("%+v", b)
					}
				}
				return nil
			})
			d.all(t, wholeFleet, "all are open", wasOpen)
			fleet[2].run("breaker", "auto", "app")
			d.all(t, wholeFleet, "all have closed", wasGood)
			d.stop()
			if n := slices.IndexFunc(d.shots, func(s shot) bool { return s.status == 0 }); n >= 0 {
				t.Error("a request had no answer")
			}
		})
	}
}

// TestWhatLeaksAfterTheTrip measures how long after the answer that opens a breaker a
// gateway of a fleet still lets requests pass, and how many have passed by then: what
// was in flight, and what came within that time. docs/breakers.md has the numbers.
func TestWhatLeaksAfterTheTrip(t *testing.T) {
	t.Parallel()
	const least, rounds, every = 20, 15, 10 * time.Millisecond // 300 requests a second
	app := newScripted(t, good)
	fleet := guardedFleet(t, testenv.StartRedis(t), app, "errorRate: 0, minRequests: 20, window: 1m, openFor: 1h")
	d := drive(t, fleet, "/app/", every)
	var delays []time.Duration
	var leaked []int
	for range rounds {
		d.all(t, wholeFleet, "all are closed", wasGood)
		fleet[0].run("breaker", "close", "app")
		fleet[0].run("breaker", "auto", "app") // begins to count anew
		for _, g := range fleet {
			eventually(t, "it counts", func() error {
				if b := g.breaker("app"); b.State != "closed" || b.Forced != "auto" || b.Requests < least {
					return fmt.Errorf("%+v", b)
				}
				return nil
			})
		}
		set := time.Now()
		app.do(bad)
		d.all(t, wholeFleet, "all are open", wasOpen)
		tripped, ok := app.answered(set, 1) // errorRate 0: by the first failure
		if !ok {
			t.Fatal("the backend has failed nobody")
		}
		after := app.since(tripped)
		leaked = append(leaked, len(after))
		if n := len(after); n > 0 {
			delays = append(delays, after[n-1].Sub(tripped))
		}
		app.do(good)
		fleet[1].run("breaker", "close", "app")
	}
	d.stop()
	slices.Sort(delays)
	slices.Sort(leaked)
	t.Logf("%d trips of three gateways at %.0f requests/s: the last request that passed came %v after the trip at the median, %v at most; %d requests passed at the median, %d at most",
		rounds, 3*float64(time.Second)/float64(every), delays[len(delays)/2], delays[len(delays)-1], leaked[len(leaked)/2], leaked[len(leaked)-1])
	// That of the median is held to what is promised of nearly all: other work on the
	// machine moves the worst.
	if promised := 250 * time.Millisecond; delays[len(delays)/2] > promised {
		t.Errorf("want at most %v", promised)
	}
}

// TestProbeOfAClientThatLeaves: it says nothing of the backend, and the next request is
// the probe, at once and not when the lease is over.
func TestProbeOfAClientThatLeaves(t *testing.T) {
	t.Parallel()
	app := newScripted(t, good)
	g := guard(t, app, "minRequests: 5, openFor: 500ms, probeLease: 1h")
	g.run("breaker", "open", "app")
	opens(t, g, "/held")
	app.do(hangs)
	asked := app.requests()
	g.run("breaker", "auto", "app")
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	eventually(t, "a request is the probe", func() error {
		done := make(chan error, 1)
		go func() { done <- ask(ctx, g.url("public", "/held"), header{"X-Run", "a"}) }()
		for app.requests() == asked {
			select {
			case err := <-done:
				return err
			case <-time.After(time.Millisecond):
			}
		}
		go func() { left <- <-done }()
		return nil
	})
	if r := get(t, g.url("public", "/app/")); !isOpen(r) {
		t.Errorf("beside the probe: %v", errStatus(r))
	}
	app.do(good)
	leave()
	if err := <-left; err == nil {
		t.Error("a backend that hangs has answered")
	}
	closes(t, g, "/app/")
}
