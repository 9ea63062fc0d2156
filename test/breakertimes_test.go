package test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// openings are for how long the breaker app was opened by itself, each time, by the logs
// of a fleet. Each opening is told by one gateway, with the number of its generation.
func openings(t *testing.T, fleet []*gateway) (lasted []time.Duration) {
	t.Helper()
	line := regexp.MustCompile(`a breaker is open now" breaker=app .*generation=(\d+) .*open_for_seconds=([\d.]+)`)
	of := map[int]time.Duration{}
	for _, g := range fleet {
		for _, m := range line.FindAllStringSubmatch(g.stderr.String(), -1) {
			generation, _ := strconv.Atoi(m[1]) // digits
			seconds, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				t.Fatalf("%s: %v", m[0], err)
			}
			of[generation] = time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
		}
	}
	generations := make([]int, 0, len(of))
	for generation := range of {
		generations = append(generations, generation)
	}
	slices.Sort(generations)
	for _, generation := range generations {
		lasted = append(lasted, of[generation])
	}
	return lasted
}

// TestBackoff: each probe that fails has the breaker open for longer, up to the most, over
// all gateways, and the backend is left alone for as long; one that succeeds has it begin
// anew.
func TestBackoff(t *testing.T) {
	t.Parallel()
	want := []time.Duration{200 * time.Millisecond, 800 * time.Millisecond, time.Second, time.Second}
	app := newScripted(t, bad)
	fleet := guardedFleet(t, testenv.StartRedis(t), app, "minRequests: 20, openFor: 200ms, backoff: {factor: 4, max: 1s}")
	d := drive(t, fleet, "/app/", 20*time.Millisecond)
	known := 0
	for range 2 {
		d.all(t, wholeFleet, "all are open", wasOpen)
		began := time.Now()
		eventually(t, "it has been probed in vain some times", func() error {
			if n := len(openings(t, fleet)) - known; n < len(want) {
				return fmt.Errorf("it has opened %d times", n)
			}
			return nil
		})
		app.do(good)
		if got := openings(t, fleet)[known : known+len(want)]; !slices.Equal(got, want) {
			t.Errorf("it was opened for %v, want %v", got, want)
		}
		// The first probe may have been before all were seen to be open; then each that is
		// known here was followed by a longer time.
		probes := app.since(began)
		for i := 1; i < min(len(probes), len(want)); i++ {
			if gap := probes[i].Sub(probes[i-1]); gap < want[i] {
				t.Errorf("probe %d came %v after the one before, within the %v for which it was open", i+1, gap, want[i])
			}
		}
		d.all(t, wholeFleet, "all have closed", wasGood)
		known = len(openings(t, fleet))
		app.do(bad)
	}
	d.stop()
}

// TestRampThroughEnvoy: when it has closed, a growing share of the requests passes, on all
// gateways; the others are told to come again, and in the end all pass.
func TestRampThroughEnvoy(t *testing.T) {
	t.Parallel()
	const ramp = 6 * time.Second
	app := newScripted(t, bad)
	fleet := guardedFleet(t, testenv.StartRedis(t), app, "minRequests: 20, openFor: 500ms, ramp: 6s")
	d := drive(t, fleet, "/app/", 15*time.Millisecond)
	d.all(t, wholeFleet, "all are open", wasOpen)
	app.do(good)
	well := time.Now()
	eventually(t, "it is closed, and lets some pass", func() error {
		for _, g := range fleet {
			if b := g.breaker("app"); b.State != "closed" || b.PassingPercent < 10 || b.PassingPercent > 99 {
				return fmt.Errorf("%+v", b)
			}
		}
		return nil
	})
	if r := eventuallyOpen(t, fleet[0]); r.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q of a request that the ramp denies", r.Header.Get("Retry-After"))
	}
	d.all(t, wholeFleet, "all pass", wasGood)
	d.stop()
	closed := app.since(well)[0] // the probe
	var shares [3]float64        // of the requests of each third of the ramp, those that passed
	for i := range shares {
		passed, all := 0.0, 0.0
		for _, s := range d.shots {
			if in := s.ended.Sub(closed); in >= ramp*time.Duration(i)/3 && in < ramp*time.Duration(i+1)/3 {
				all++
				if wasGood(s) {
					passed++
				} else if !s.open {
					t.Errorf("status %d", s.status)
				}
			}
		}
		shares[i] = passed / max(all, 1)
	}
	t.Logf("of the requests in each third of the ramp passed %.2f", shares)
	// What passes evenly from a tenth on is 18, 50 and 83 %.
	if shares[0] > 0.4 || shares[1] < shares[0] || shares[2] < 0.6 {
		t.Errorf("of the requests in each third of the ramp passed %.2f, want .18, .50, .83", shares)
	}
}

// eventuallyOpen is an answer of a breaker.
func eventuallyOpen(t *testing.T, g *gateway) (r reply) {
	t.Helper()
	eventually(t, "a request is denied", func() error {
		if r = get(t, g.url("public", "/app/")); !isOpen(r) {
			return errStatus(r)
		}
		return nil
	})
	return r
}
