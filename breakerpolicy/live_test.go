package breakerpolicy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/outcome"
	"github.com/gatewright/gatewright/internal/testenv"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quietRedis{}) // the faults are loud
	os.Exit(m.Run())
}

type quietRedis struct{}

func (quietRedis) Printf(context.Context, string, ...any) {}

// open opens breakers that end with the test.
func open(t testing.TB, s Settings, defs map[string]Definition) (*Breakers, *testenv.Output) {
	t.Helper()
	log := &testenv.Output{}
	b, err := Open(s, slog.New(slog.NewTextHandler(log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil && !errors.Is(err, redis.ErrClosed) { // some tests close one themselves
			t.Error(err)
		}
	})
	b.Apply(defs)
	return b, log
}

// users is one breaker, of the backend users.
func users(c config.Breaker) map[string]Definition {
	return map[string]Definition{"users": {Backend: "users", Config: &c}}
}

// ended is how a request to users has ended.
func ended(status int) outcome.Outcome {
	return outcome.Outcome{Route: "r", Backend: "users", Upstream: true, Attempts: 1, Status: status, GRPCStatus: outcome.GRPCUnknown, Duration: time.Millisecond}
}

// probeEnded is how the request that was a probe has ended.
func probeEnded(probe string, status int) outcome.Outcome {
	o := ended(status)
	o.Breaker = probe
	return o
}

// fail has n requests pass and fail.
func fail(t testing.TB, b *Breakers, n int) {
	t.Helper()
	for range n {
		if a := b.Admit("r", "users"); a.Denied {
			t.Fatalf("denied: %+v", a)
		}
		b.Observe(ended(500))
	}
}

// inBubble runs a test of one instance where time passes when all wait.
func inBubble(t *testing.T, c config.Breaker, test func(t *testing.T, b *Breakers, log *testenv.Output)) {
	synctest.Test(t, func(t *testing.T) {
		b, log := open(t, Settings{}, users(c))
		test(t, b, log)
	})
}

// TestOneInstance is the life of a breaker without Redis.
func TestOneInstance(t *testing.T) {
	inBubble(t, config.Breaker{}, func(t *testing.T, b *Breakers, log *testenv.Output) {
		equal(t, "before", b.Admit("r", "users"), Admission{Name: "users", State: StateClosed})
		equal(t, "of another backend", b.Admit("r", "orders"), Admission{})
		fail(t, b, 20)
		time.Sleep(60 * time.Millisecond) // a report
		a := b.Admit("r", "users")
		if !a.Denied || a.State != StateOpen || a.RetryAfter <= 29*time.Second || a.RetryAfter > 30*time.Second {
			t.Fatalf("after 20 failures: %+v", a)
		}
		time.Sleep(a.RetryAfter - time.Millisecond)
		if a := b.Admit("r", "users"); !a.Denied || a.RetryAfter != time.Millisecond {
			t.Fatalf("a millisecond before its time: %+v", a)
		}
		time.Sleep(60 * time.Millisecond)
		probe := b.Admit("r", "users")
		if probe.Denied || probe.Probe == "" || strings.Contains(probe.Probe, " ") {
			t.Fatalf("the first request after its time: %+v", probe)
		}
		for range 100 {
			if a := b.Admit("r", "users"); !a.Denied || a.RetryAfter != time.Second {
				t.Fatalf("beside the probe: %+v", a)
			}
		}
		b.Observe(probeEnded(probe.Probe, 200))
		time.Sleep(60 * time.Millisecond)
		equal(t, "after the probe", b.Admit("r", "users"), Admission{Name: "users", State: StateClosed})

		for _, want := range []string{
			`level=WARN msg="a breaker is open now" breaker=users from=closed to=open why=too-many-failures generation=1 mode=enforce shared=false requests=20 failed=20 open_for_seconds=30 openings=1`,
			`msg="a breaker is half-open now" breaker=users from=open to=half-open why=open-time-over generation=2`,
			`msg="a breaker is closed now" breaker=users from=half-open to=closed why=probes-succeeded generation=3`,
		} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("the log says\n%swant once %s", log, want)
			}
		}
	})
}

// A failed probe opens it again.
func TestOneInstanceProbeFails(t *testing.T) {
	inBubble(t, config.Breaker{}, func(t *testing.T, b *Breakers, _ *testenv.Output) {
		fail(t, b, 20)
		time.Sleep(30*time.Second + 200*time.Millisecond)
		b.Observe(probeEnded(b.Admit("r", "users").Probe, 503))
		time.Sleep(20 * time.Millisecond)
		if a := b.Admit("r", "users"); a.State != StateOpen || a.RetryAfter <= 29*time.Second {
			t.Errorf("after the probe: %+v", a)
		}
	})
}

// A probe whose request goes nowhere is for the next request; one of which nothing is
// heard is given out again after its lease.
func TestOneInstanceProbeComesBack(t *testing.T) {
	inBubble(t, config.Breaker{ProbeLease: config.Duration(5 * time.Second)}, func(t *testing.T, b *Breakers, _ *testenv.Output) {
		fail(t, b, 20)
		time.Sleep(30*time.Second + 200*time.Millisecond)
		first := b.Admit("r", "users").Probe
		b.Cancel(first)
		if second := b.Admit("r", "users").Probe; second != first {
			t.Errorf("after the cancellation the next request is the probe %q, want %q", second, first)
		}
		b.Observe(outcome.Outcome{Backend: "users", Breaker: first, Flags: outcome.Denied, GRPCStatus: outcome.GRPCUnknown})
		time.Sleep(60 * time.Millisecond)
		third := b.Admit("r", "users").Probe
		if third == "" || third == first {
			t.Errorf("after a probe that told nothing: %q, want another than %q", third, first)
		}
		time.Sleep(5 * time.Second)
		if a := b.Admit("r", "users"); !a.Denied {
			t.Errorf("within the lease: %+v", a)
		}
		time.Sleep(holdFor*time.Millisecond + 60*time.Millisecond)
		if a := b.Admit("r", "users"); a.Probe == "" || a.Probe == third {
			t.Errorf("after the lease: %+v", a)
		}
		b.Cancel("nobody's") // and nothing happens
		b.Cancel("x@nowhere")
	})
}

// Many requests at the same time: one of them is the probe.
func TestOneProbeOfManyRequests(t *testing.T) {
	inBubble(t, config.Breaker{}, func(t *testing.T, b *Breakers, _ *testenv.Output) {
		fail(t, b, 20)
		time.Sleep(30*time.Second + 200*time.Millisecond)
		probes := make(chan string, 100)
		for range 100 {
			go func() { probes <- b.Admit("r", "users").Probe }()
		}
		n := 0
		for range 100 {
			if <-probes != "" {
				n++
			}
		}
		equal(t, "probes", n, 1)
	})
}

// What began before the breaker closed says nothing of what it let pass since.
func TestOldRequestsDoNotCount(t *testing.T) {
	inBubble(t, config.Breaker{}, func(t *testing.T, b *Breakers, _ *testenv.Output) {
		fail(t, b, 20)
		time.Sleep(30*time.Second + 200*time.Millisecond)
		b.Observe(probeEnded(b.Admit("r", "users").Probe, 200))
		time.Sleep(time.Second)
		for range 100 {
			hung := ended(504)
			hung.Duration = 31 * time.Second
			b.Observe(hung)
		}
		time.Sleep(60 * time.Millisecond)
		equal(t, "it counts", b.List()[0].Requests, 0)
		fail(t, b, 19)
		time.Sleep(60 * time.Millisecond)
		equal(t, "it counts", b.List()[0].Requests, 19)
	})
}

// In a ramp a growing share passes, evenly.
func TestRamp(t *testing.T) {
	inBubble(t, config.Breaker{Ramp: config.Duration(10 * time.Second)}, func(t *testing.T, b *Breakers, _ *testenv.Output) {
		passed := func() (n int) {
			for range 1000 {
				if a := b.Admit("r", "users"); !a.Denied {
					n++
				} else if a.RetryAfter != time.Second {
					t.Fatalf("denied with %+v", a)
				}
			}
			return n
		}
		equal(t, "of one that never opened", passed(), 1000)
		fail(t, b, 20)
		time.Sleep(30*time.Second + 200*time.Millisecond)
		b.Observe(probeEnded(b.Admit("r", "users").Probe, 200))
		time.Sleep(20 * time.Millisecond)
		equal(t, "in the beginning", passed(), 100)
		time.Sleep(5 * time.Second)
		if n := passed(); n < 490 || n > 510 {
			t.Errorf("in the middle: %d of 1000 pass, want 500", n)
		}
		if s := b.List()[0]; s.PassingPercent < 49 || s.PassingPercent > 51 {
			t.Errorf("%d %% are said to pass, want 50", s.PassingPercent)
		}
		time.Sleep(5 * time.Second)
		equal(t, "in the end", passed(), 1000)
	})
}

// In shadow every request passes, and what would have been is told; the breaker opens
// and closes by probes as any.
func TestShadow(t *testing.T) {
	inBubble(t, config.Breaker{Mode: config.ModeShadow}, func(t *testing.T, b *Breakers, _ *testenv.Output) {
		fail(t, b, 20)
		time.Sleep(60 * time.Millisecond)
		equal(t, "open", b.Admit("r", "users"), Admission{Name: "users", State: StateOpen, Shadow: true})
		time.Sleep(30 * time.Second)
		probe := b.Admit("r", "users")
		if probe.Probe == "" || probe.Shadow {
			t.Errorf("the probe: %+v", probe)
		}
		equal(t, "beside the probe", b.Admit("r", "users"), Admission{Name: "users", State: StateHalfOpen, Shadow: true})
		b.Observe(probeEnded(probe.Probe, 200))
		time.Sleep(20 * time.Millisecond)
		equal(t, "after it", b.Admit("r", "users"), Admission{Name: "users", State: StateClosed})
	})
}

// A new config neither closes a breaker nor forgets what it has counted; one that is
// no longer in it is forgotten.
func TestApplyKeepsBreakers(t *testing.T) {
	inBubble(t, config.Breaker{}, func(t *testing.T, b *Breakers, _ *testenv.Output) {
		fail(t, b, 15)
		b.Apply(users(config.Breaker{MinRequests: 16}))
		fail(t, b, 1)
		time.Sleep(60 * time.Millisecond)
		equal(t, "after 16 failures it is", b.List()[0].State, StateOpen)
		b.Apply(users(config.Breaker{MinRequests: 17}))
		equal(t, "after another config it is", b.List()[0].State, StateOpen)
		b.Apply(nil)
		equal(t, "without a breaker", b.Admit("r", "users"), Admission{})
		b.Apply(users(config.Breaker{}))
		time.Sleep(60 * time.Millisecond)
		equal(t, "one that is new is", b.Admit("r", "users").State, StateClosed)
	})
}

// A breaker for each route: one of them opens alone.
func TestPerRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &config.Breaker{Per: config.PerRoute}
		b, _ := open(t, Settings{}, map[string]Definition{
			"r/users": {Route: "r", Backend: "users", Config: c}, "s/users": {Route: "s", Backend: "users", Config: c},
		})
		fail(t, b, 20)
		time.Sleep(60 * time.Millisecond)
		equal(t, "of r", b.Admit("r", "users").State, StateOpen)
		equal(t, "of s", b.Admit("s", "users"), Admission{Name: "s/users", State: StateClosed})
		equal(t, "of another route", b.Admit("t", "users"), Admission{})
	})
}

func TestForceOneInstance(t *testing.T) {
	inBubble(t, config.Breaker{}, func(t *testing.T, b *Breakers, _ *testenv.Output) {
		s, err := b.Force(t.Context(), "users", ForceOpen)
		if err != nil || s.State != StateOpen || s.Forced != ForceOpen || s.Shared {
			t.Fatalf("%+v, %v", s, err)
		}
		time.Sleep(time.Hour)
		if a := b.Admit("r", "users"); !a.Denied || a.RetryAfter != 30*time.Second {
			t.Errorf("kept open: %+v", a)
		}
		if s, err = b.Force(t.Context(), "users", ForceClosed); err != nil || s.State != StateClosed {
			t.Fatalf("%+v, %v", s, err)
		}
		fail(t, b, 100)
		time.Sleep(60 * time.Millisecond)
		equal(t, "kept closed", b.Admit("r", "users").Denied, false)
		if s, err = b.Force(t.Context(), "users", Auto); err != nil || s.Forced != Auto {
			t.Fatalf("%+v, %v", s, err)
		}
		time.Sleep(10 * time.Millisecond) // longer than a request takes: these begin after the change
		fail(t, b, 20)
		time.Sleep(60 * time.Millisecond)
		equal(t, "by itself", b.Admit("r", "users").State, StateOpen)

		if _, err := b.Force(t.Context(), "nobody", ForceOpen); err == nil || err.Error() != `there is no breaker "nobody"` {
			t.Errorf("of no breaker: %v", err)
		}
		if _, err := b.Force(t.Context(), "users", "ajar"); err == nil {
			t.Error("ajar is no way to force a breaker")
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	for _, s := range []Settings{{RedisURL: "http://:hunter2@x"}, {RedisURL: "redis://:hunter2@x", RedisTimeout: -1}} {
		_, err := Open(s, slog.New(slog.DiscardHandler), nil)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", s, err)
		}
	}
	reg := prometheus.NewRegistry()
	b, err := Open(Settings{}, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if _, err := Open(Settings{}, slog.New(slog.DiscardHandler), reg); err == nil {
		t.Error("metrics were registered twice")
	}
}

func BenchmarkAdmit(b *testing.B) {
	for _, state := range []State{StateClosed, StateOpen} {
		b.Run(string(state), func(b *testing.B) {
			all := map[string]Definition{}
			for i := range 1000 {
				all[fmt.Sprint("other", i)] = Definition{Backend: fmt.Sprint("other", i), Config: &config.Breaker{}}
			}
			all["users"] = users(config.Breaker{})["users"]
			br, _ := open(b, Settings{}, all)
			if state == StateOpen {
				if _, err := br.Force(b.Context(), "users", ForceOpen); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					br.Admit("r", "users")
				}
			})
		})
	}
}

func BenchmarkObserve(b *testing.B) {
	br, _ := open(b, Settings{}, users(config.Breaker{}))
	o := ended(200)
	b.ReportAllocs()
	for b.Loop() {
		br.Observe(o)
	}
}
