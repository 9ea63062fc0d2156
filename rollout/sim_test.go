package rollout

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// world is where a simulated rollout happens.
type world struct {
	rps            float64
	stable, canary side
}

// side is how one side does: a share of errors, and latencies of a log-normal
// distribution.
type side struct {
	errors float64
	median time.Duration
	sigma  float64
}

func (s side) request(r *rand.Rand, p99 time.Duration, c *Counts) {
	c.Requests++
	if r.Float64() < s.errors {
		c.Failed++
	}
	d := time.Duration(float64(s.median) * math.Exp(r.NormFloat64()*s.sigma))
	if p99 > 0 && d > p99 {
		c.Slow++
	}
	c.Latency.Observe(d)
}

// simulate runs a rollout to its end, looking at it twice a second, and returns the
// end state and when it was.
func simulate(spec Spec, w world, r *rand.Rand, longest time.Duration) (State, time.Duration) {
	const tick = 500 * time.Millisecond
	start := time.Unix(0, 0)
	s, _ := Reconcile(spec, State{}, start)
	for at := tick; at <= longest; at += tick {
		var seen Sides
		n := poisson(r, w.rps*tick.Seconds())
		for range n {
			if r.Float64()*100 < float64(s.Share) {
				w.canary.request(r, spec.P99, &seen.Canary)
			} else {
				w.stable.request(r, spec.P99, &seen.Stable)
			}
		}
		s = Step(s, start.Add(at), seen)
		if s.Phase == Done || s.Phase == Aborted {
			return s, at
		}
	}
	return s, longest
}

func poisson(r *rand.Rand, mean float64) int {
	n, limit, p := 0, math.Exp(-mean), 1.0
	for {
		if p *= r.Float64(); p <= limit {
			return n
		}
		n++
	}
}

func demo() Spec {
	return Spec{
		Route: "users", Backend: "v2", Steps: []int{5, 25, 50, 100}, Every: 30 * time.Second,
		ErrorRate: 0.02, P99: 800 * time.Millisecond, MinRequests: 50,
		ErrorTolerance: DefaultErrorTolerance, LatencyTolerance: DefaultLatencyTolerance,
	}
}

// TestWrongDecisions counts wrong decisions over many simulated rollouts, and holds
// them to what is promised. ROLLOUT_RUNS sets how many of each, ROLLOUT_SEED which chances
// they are given: the constants were chosen on those of the seed 1.
func TestWrongDecisions(t *testing.T) {
	t.Parallel()
	runs := 60
	if n, err := strconv.Atoi(os.Getenv("ROLLOUT_RUNS")); err == nil {
		runs = n
	}
	seed := uint64(1)
	if n, err := strconv.ParseUint(os.Getenv("ROLLOUT_SEED"), 10, 64); err == nil {
		seed = n
	}
	good := side{errors: 0.001, median: 30 * time.Millisecond, sigma: 0.5}
	with := func(s side, change func(*side)) side { change(&s); return s }
	demo, compared := demo(), demo()
	compared.ErrorRate, compared.P99 = 0, 0
	long := compared
	long.Every = 5 * time.Minute
	for _, c := range []struct {
		what string
		spec Spec
		w    world
		end  Phase
		// wrong is the greatest share of runs that may end otherwise, or later.
		wrong float64
		by    time.Duration
	}{
		{"equal, 0.1 % errors", demo, world{200, good, good}, Done, falseAlarms, 125 * time.Second},
		{"equal, no errors", demo, world{200, with(good, func(s *side) { s.errors = 0 }), with(good, func(s *side) { s.errors = 0 })}, Done, falseAlarms, 125 * time.Second},
		{"equal, 1 % errors, half of the bound", demo, world{200, with(good, func(s *side) { s.errors = 0.01 }), with(good, func(s *side) { s.errors = 0.01 })}, Done, 0.02, 200 * time.Second},
		{"equal, 10 % errors, no bound", compared, world{200, with(good, func(s *side) { s.errors = 0.1 }), with(good, func(s *side) { s.errors = 0.1 })}, Done, falseAlarms, 150 * time.Second},
		{"equal, 20 minutes", long, world{100, good, good}, Done, falseAlarms, 21 * time.Minute},
		{"equal, heavy tails", compared, world{200, with(good, func(s *side) { s.sigma = 2 }), with(good, func(s *side) { s.sigma = 2 })}, Done, falseAlarms, 150 * time.Second},
		{"5 % errors", demo, world{200, good, with(good, func(s *side) { s.errors = 0.05 })}, Aborted, 0.002, 30 * time.Second},
		{"5 % errors, no bound", compared, world{200, good, with(good, func(s *side) { s.errors = 0.05 })}, Aborted, 0.005, 28 * time.Second},
		{"5 % errors, of the stable side 1 %", compared, world{200, with(good, func(s *side) { s.errors = 0.01 }), with(good, func(s *side) { s.errors = 0.05 })}, Aborted, 0.002, 60 * time.Second},
		{"twice as slow", compared, world{200, good, with(good, func(s *side) { s.median *= 2 })}, Aborted, 0.002, 60 * time.Second},
		{"p99 of 900 ms", demo, world{200, with(good, func(s *side) { s.median = 280 * time.Millisecond }), with(good, func(s *side) { s.median = 280 * time.Millisecond })}, Aborted, 0.01, 600 * time.Second},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 2))
			wrong, sum, slowest := 0, time.Duration(0), time.Duration(0)
			example := ""
			for range runs {
				s, at := simulate(c.spec, c.w, r, 30*time.Minute)
				sum += at
				slowest = max(slowest, at)
				if s.Phase != c.end || at > c.by {
					wrong++
					example = fmt.Sprintf("; one is %s after %s: %s %s", s.Phase, at, s.last().Why, s.Waits)
				}
			}
			// Four standard deviations of what is promised.
			most := c.wrong*float64(runs) + 4*math.Sqrt(c.wrong*float64(runs))
			t.Logf("%s: %d of %d runs are not %s by %s; on average after %s, at the latest after %s%s", c.what, wrong, runs, c.end, c.by, (sum / time.Duration(runs)).Round(100*time.Millisecond), slowest, example)
			if float64(wrong) > most {
				t.Errorf("%d wrong decisions, at most %.1f are to be expected", wrong, most)
			}
		})
	}
}
