package test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// guardedFleet are three gateways, each with an Envoy, on one Redis.
func guardedFleet(t *testing.T, redis *testenv.Redis, app *scripted, breaker string) []*gateway {
	t.Helper()
	issuer := idp(t).Issuer()
	fleet := make([]*gateway, 3)
	for i := range fleet {
		fleet[i] = launch(t, setup{config: breakers, env: []string{"GATEWRIGHT_REDIS_URL=" + redis.URL(), "GATEWRIGHT_ADMIN_TOKEN=operator"},
			values: map[string]string{"issuer": issuer, "app": app.addr, "breaker": breaker}})
	}
	for _, g := range fleet {
		g.waitReady()
		t.Cleanup(func() {
			g.stop()
			if t.Failed() {
				t.Logf("standard error of a gateway:\n%s", g.stderr)
			}
		})
	}
	return fleet
}

// barrage is requests to a fleet that come at a steady rate, whatever becomes of them.
type barrage struct {
	end  chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex // guards shots
	shots []shot
}

// shot is one of its requests.
type shot struct {
	gateway int
	ended   time.Time
	status  int // 0: there was no answer
	open    bool
}

// drive sends each gateway a request in so much time, until it is stopped.
func drive(t *testing.T, fleet []*gateway, path string, every time.Duration) *barrage {
	t.Helper()
	d := &barrage{end: make(chan struct{})}
	for i, g := range fleet {
		url := fmt.Sprintf("%s?g=%d", g.url("public", path), i)
		d.done.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-d.end:
					return
				case <-tick.C:
					d.done.Go(func() { d.shoot(i, url) })
				}
			}
		})
	}
	t.Cleanup(d.stop)
	return d
}

func (d *barrage) shoot(gateway int, url string) {
	r, err := try(http.MethodGet, url)
	s := shot{gateway: gateway, ended: time.Now(), status: r.Status, open: isOpen(r)}
	if err != nil {
		s.status = 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shots = append(d.shots, s)
}

// stop ends it, and waits for what is on its way.
func (d *barrage) stop() {
	select {
	case <-d.end:
	default:
		close(d.end)
	}
	d.done.Wait()
}

// recent is what the fleet's gateways have answered last.
func (d *barrage) recent(gateway, n int) []shot {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []shot
	for _, s := range slices.Backward(d.shots) {
		if s.gateway == gateway && len(out) < n {
			out = append(out, s)
		}
	}
	return out
}

// unjudged is how many requests Envoy has answered itself since no judgement came in time.
func (d *barrage) unjudged() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, s := range d.shots {
		if s.status == http.StatusServiceUnavailable && !s.open {
			n++
		}
	}
	return n
}

// all waits until each of these gateways has answered ten times in a row so.
func (d *barrage) all(t *testing.T, gateways []int, what string, is func(shot) bool) {
	t.Helper()
	eventually(t, what, func() error {
		for _, i := range gateways {
			last := d.recent(i, 10)
			if len(last) < 10 || slices.ContainsFunc(last, func(s shot) bool { return !is(s) }) {
				return fmt.Errorf("gateway %d: %+v", i, last)
			}
		}
		return nil
	})
}

// first checks the first answers of each gateway after a time.
func (d *barrage) first(t *testing.T, after time.Time, n int, what string, is func(shot) bool) {
	t.Helper()
	eventually(t, "each gateway has answered", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		answers := map[int]int{}
		for _, s := range d.shots {
			if s.ended.After(after) && answers[s.gateway] < n {
				answers[s.gateway]++
				if !is(s) {
					t.Fatalf("%s: gateway %d: %+v", what, s.gateway, s)
				}
			}
		}
		for _, i := range wholeFleet {
			if answers[i] < n {
				return fmt.Errorf("gateway %d: %d of %d", i, answers[i], n)
			}
		}
		return nil
	})
}

func wasOpen(s shot) bool { return s.open }
func wasGood(s shot) bool { return s.status == http.StatusOK }

var wholeFleet = []int{0, 1, 2}

// TestBreakerOverAFleet: what the gateways see counts together, and all open together.
func TestBreakerOverAFleet(t *testing.T) {
	t.Parallel()
	app := newScripted(t, bad)
	fleet := guardedFleet(t, testenv.StartRedis(t), app, "minRequests: 12, window: 1m, openFor: 1h")
	for i := range 11 {
		if r := get(t, fleet[i%3].url("public", "/app/")); r.Status != http.StatusInternalServerError {
			t.Fatal(errStatus(r))
		}
	}
	for _, g := range fleet {
		g.counted("app", 11, 11)
	}
	get(t, fleet[2].url("public", "/app/"))
	for _, g := range fleet {
		opens(t, g, "/app/")
	}
	if n := app.requests(); n < 12 {
		t.Errorf("%d requests", n)
	}
	fleet[1].run("breaker", "close", "app")
	app.do(good)
	for _, g := range fleet {
		closes(t, g, "/app/")
	}
}

// TestOneProbeOverTheFleet: however a backend fails its probes, it is asked once each
// time that the breaker is half-open, by one of the three gateways; and when it is well
// again, once more.
func TestOneProbeOverTheFleet(t *testing.T) {
	t.Parallel()
	const openFor = time.Second
	for name, c := range map[string]struct {
		breaker string
		sick    act
	}{
		"bad":    {"", bad},
		"hangs":  {"", hangs}, // until the route's timeout, 1s
		"resets": {"", resets},
		"slow":   {", failures: {slowerThan: 200ms}", slow(400 * time.Millisecond)},
	} {
		t.Run(name, func(t *testing.T) {
			app := newScripted(t, c.sick)
			fleet := guardedFleet(t, testenv.StartRedis(t), app, "minRequests: 20, openFor: 1s"+c.breaker)
			d := drive(t, fleet, "/app/", 30*time.Millisecond)
			d.all(t, wholeFleet, "all are open", wasOpen)
			// From here on only probes reach the backend. The first may have been before.
			began := time.Now()
			eventually(t, "there have been three probes", func() error {
				if n := len(app.since(began)); n < 3 {
					return fmt.Errorf("%d", n)
				}
				return nil
			})
			probes := app.since(began)
			for i := 1; i < len(probes); i++ {
				if gap := probes[i].Sub(probes[i-1]); gap < openFor {
					t.Errorf("two probes within %v, and the breaker is open for %v", gap, openFor)
				}
			}
			app.do(good)
			well := time.Now()
			d.all(t, wholeFleet, "all have closed", wasGood)
			d.stop()
			after := app.since(well)
			if len(after) < 2 {
				t.Fatalf("the backend was asked %d times since it is well", len(after))
			}
			// By the gateways' own count each time that it was half-open had one probe, and
			// the backend saw each of them.
			sent, turned := inFleet(fleet, `gatewright_breaker_requests_total{breaker="app",result="probe"}`), inFleet(fleet, `gatewright_breaker_transitions_total{breaker="app",to="half-open"}`)
			if all := len(app.since(began)) - len(after) + 1; sent != turned || all != sent && all != sent-1 {
				t.Errorf("half-open %d times, %d probes, of which the backend saw %d since it was seen to be open by all", turned, sent, all)
			}
			t.Logf("%d probes failed, %v apart; after the one that succeeded the next request came in %v", len(probes), probes[1].Sub(probes[0]), after[1].Sub(after[0]))
		})
	}
}

// inFleet is a metric's sum over gateways.
func inFleet(fleet []*gateway, series string) (sum int) {
	for _, g := range fleet {
		for line := range strings.Lines(g.metrics()) {
			if text, ok := strings.CutPrefix(line, series+" "); ok {
				n, err := strconv.Atoi(strings.TrimSpace(text))
				if err != nil {
					g.t.Fatalf("%s: %v", line, err)
				}
				sum += n
			}
		}
	}
	return sum
}

// TestSeveralProbes: three in a row close it, one at a time.
func TestSeveralProbes(t *testing.T) {
	t.Parallel()
	const takes = 300 * time.Millisecond
	app := newScripted(t, bad)
	fleet := guardedFleet(t, testenv.StartRedis(t), app, "minRequests: 20, openFor: 1s, probes: 3")
	d := drive(t, fleet, "/app/", 30*time.Millisecond)
	d.all(t, wholeFleet, "all are open", wasOpen)
	app.do(slow(takes))
	well := time.Now()
	d.all(t, wholeFleet, "all have closed", wasGood)
	d.stop()
	asked := app.since(well)
	if len(asked) < 4 {
		t.Fatalf("the backend was asked %d times", len(asked))
	}
	for i := 1; i < 4; i++ { // the fourth is the first that passes a closed breaker
		if gap := asked[i].Sub(asked[i-1]); gap < takes {
			t.Errorf("request %d came %v after the one before, which took %v", i+1, gap, takes)
		}
	}
}

// TestFlappingBackend: whatever it does, nothing gets stuck; while it is not closed,
// the backend is left alone.
func TestFlappingBackend(t *testing.T) {
	t.Parallel()
	app := newScripted(t, flaps(700*time.Millisecond))
	fleet := guardedFleet(t, testenv.StartRedis(t), app, "minRequests: 10, window: 1s, openFor: 500ms")
	d := drive(t, fleet, "/app/", 20*time.Millisecond)
	sent := time.Now()
	eventually(t, "it has opened and closed several times", func() error {
		n := 0
		for _, g := range fleet {
			n += transitionsTo(g, "closed")
		}
		if n < 9 { // as often as the fleet has gateways, if each tells of all
			return fmt.Errorf("closed %d times", n)
		}
		return nil
	})
	app.do(good)
	d.all(t, wholeFleet, "all have closed", wasGood)
	d.stop()
	t.Logf("in %v the backend was asked %d times of %d", time.Since(sent), app.requests(), len(d.shots))
}

// TestSixtyPercentErrors open it, forty do not.
func TestSixtyPercentErrors(t *testing.T) {
	t.Parallel()
	app := newScripted(t, fails(4))
	fleet := guardedFleet(t, testenv.StartRedis(t), app, "minRequests: 20, window: 2s, openFor: 1h")
	d := drive(t, fleet, "/app/", 20*time.Millisecond)
	eventually(t, "three windows have passed", func() error {
		if n := app.requests(); n < 400 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	d.mu.Lock()
	early := slices.ContainsFunc(d.shots, wasOpen)
	d.mu.Unlock()
	if early {
		t.Error("40 % of errors have opened it")
	}
	app.do(fails(6))
	d.all(t, wholeFleet, "all are open", wasOpen)
	d.stop()
}

// transitionsTo is how often a gateway has taken its breaker to a state, for the fleet.
func transitionsTo(g *gateway, state string) (n int) {
	for line := range strings.Lines(g.stderr.String()) {
		if strings.Contains(line, " breaker=app ") && strings.Contains(line, " to="+state+" ") {
			n++
		}
	}
	return n
}

// TestRefusingBackend: one that takes no connection is probed as any other, and its
// breaker closes when it takes them again.
func TestRefusingBackend(t *testing.T) {
	t.Parallel()
	app := newScripted(t, good)
	fleet := guardedFleet(t, testenv.StartRedis(t), app, "minRequests: 20, openFor: 1s")
	d := drive(t, fleet, "/app/", 30*time.Millisecond)
	d.all(t, wholeFleet, "all are closed", wasGood)
	app.refuse()
	d.all(t, wholeFleet, "all are open", wasOpen)
	const turns = `gatewright_breaker_transitions_total{breaker="app",to="half-open"}`
	eventually(t, "it has been probed twice", func() error {
		if n := inFleet(fleet, turns); n < 2 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
	app.accept()
	d.all(t, wholeFleet, "all have closed", wasGood)
	d.stop()
	if turned, sent := inFleet(fleet, turns), inFleet(fleet, `gatewright_breaker_requests_total{breaker="app",result="probe"}`); turned != sent {
		t.Errorf("half-open %d times, and %d probes", turned, sent)
	}
}
