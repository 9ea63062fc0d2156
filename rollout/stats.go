package rollout

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/outcome"
)

// stats gathers outcomes by rollout until they are taken. Outcomes of other routes
// cost a look at a map.
type stats struct {
	byRoute atomic.Pointer[map[string]*watched]
}

// watched is a route with a rollout.
type watched struct {
	spec   Spec
	stable []string // the other backends of the route

	mu   sync.Mutex // guards seen
	seen Sides
}

// watch says which rollouts there are. What was gathered of one that stays the same
// is kept.
func (s *stats) watch(routes []*config.Route, specs map[string]Spec) {
	next := map[string]*watched{}
	before := s.byRoute.Load()
	for _, r := range routes {
		spec, ok := specs[r.Name]
		if !ok {
			continue
		}
		w := &watched{spec: spec}
		for _, d := range r.To {
			if d.Backend != spec.Backend {
				w.stable = append(w.stable, d.Backend)
			}
		}
		if before != nil {
			if old := (*before)[r.Name]; old != nil && old.spec.equal(spec) {
				w.seen = old.take()
			}
		}
		next[r.Name] = w
		if spec.Dark {
			next[config.DarkName(r.Name)] = w // the copies
		}
	}
	s.byRoute.Store(&next)
}

// observe counts an outcome.
func (s *stats) observe(o outcome.Outcome) {
	all := s.byRoute.Load()
	if all == nil {
		return
	}
	w := (*all)[o.Route]
	if w == nil || o.Broken == "" && !o.BackendAnswers() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// Whom a side's breaker does not let pass it has failed as well: else a canary that
	// fails so much that its breaker opens would have no requests to be taken back for.
	if side := w.side(o.Broken); side != nil {
		side.Requests++
		side.Failed++
	}
	if side := w.side(o.Backend); side != nil && o.BackendAnswers() {
		side.observe(o, Failed(o), w.spec.P99)
	}
}

// side is where a backend's requests are counted; nil where it is on neither side. The
// caller holds mu.
func (w *watched) side(backend string) *Counts {
	switch {
	case backend == w.spec.Backend:
		return &w.seen.Canary
	case slices.Contains(w.stable, backend):
		return &w.seen.Stable
	}
	return nil
}

// statusSwitching is that of a connection that was upgraded.
const statusSwitching = 101

func (c *Counts) observe(o outcome.Outcome, failed bool, bound time.Duration) {
	c.Requests++
	if failed {
		c.Failed++
	}
	if o.Status == statusSwitching {
		return
	}
	if bound > 0 && o.Duration > bound {
		c.Slow++
	}
	c.Latency.Observe(o.Duration)
}

// take is what was gathered since the last time.
func (w *watched) take() Sides {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = Sides{}
	return seen
}

// take is what was gathered of a route since the last time.
func (s *stats) take(route string) Sides {
	if all := s.byRoute.Load(); all != nil {
		if w := (*all)[route]; w != nil {
			return w.take()
		}
	}
	return Sides{}
}

var failures = new(config.BreakerFailures)

// failingGRPC are the gRPC statuses that are failures.
var failingGRPC = failures.GRPCCodes()

// Failed tells whether a request has failed by its backend's fault: by the rule that
// a breaker has where its config says nothing else.
func Failed(o outcome.Outcome) bool {
	return o.Flags.Has(outcome.ConnectFailure|outcome.NoHealthy|outcome.Reset|outcome.Timeout) ||
		slices.ContainsFunc(failures.Statuses(), func(r config.StatusRange) bool { return r.Has(o.Status) }) ||
		slices.Contains(failingGRPC, o.GRPCStatus)
}
