package rollout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/outcome"
	"github.com/gatewright/gatewright/internal/redisclient"
)

// Settings come from the environment.
type Settings struct {
	// RedisURL is the Redis by which the instances of a gateway share their rollouts;
	// see redisclient.Client. Empty: each process has its own.
	RedisURL string `envconfig:"GATEWRIGHT_REDIS_URL"`
	// Redis is what connections need beside that URL.
	Redis redisclient.Files
}

// Options are what a Controller needs of the process around it.
type Options struct {
	// File keeps, on local disk, where the rollouts are. Empty: nothing does.
	File string
	Log  *slog.Logger
	// Registerer gets the metrics. Nil gets none.
	Registerer prometheus.Registerer
	// Clock is time.Now, but in tests. What is shared goes by Redis' own.
	Clock func() time.Time
}

// every is how often rollouts are looked at.
const every = 500 * time.Millisecond

// Controller moves rollouts, together with those of the other instances. It is safe
// for concurrent use. Open makes one, Apply tells it which rollouts there are, and
// Run moves them.
type Controller struct {
	store   store
	stats   stats
	file    *file
	log     *slog.Logger
	clock   func() time.Time
	metrics metrics
	// turn holds one token: whoever asks the store has it.
	turn chan struct{}
	// moved has a value when there are other shares to serve.
	moved chan struct{}
	// down is why the store does not answer. Who has the turn touches it.
	down error
	// guarded is when what was seen was last judged here, while the store is away. Who
	// has the turn touches it.
	guarded time.Time

	mu sync.Mutex // guards the rest
	// specs are the rollouts of the config, by route. unsaid are those whose spec has
	// not been reconciled with their state yet.
	specs  map[string]Spec
	unsaid map[string]bool
	known  map[string]record
	// foreign are those of which the instances have another canary than this one's
	// config, whose turn it is to change.
	foreign map[string]bool
	// apart are the states of rollouts as they are here alone while the store is away,
	// and until the others know of a canary that was taken back.
	apart map[string]State
}

// Open returns a controller, and does not connect. Errors are a malformed URL, and
// metrics that the registerer has already. The caller closes it.
func Open(s Settings, o Options) (*Controller, error) {
	c := &Controller{
		file: newFile(o.File), log: o.Log, clock: o.Clock, metrics: newMetrics(),
		turn: make(chan struct{}, 1), moved: make(chan struct{}, 1),
		specs: map[string]Spec{}, unsaid: map[string]bool{}, foreign: map[string]bool{}, apart: map[string]State{}, known: map[string]record{},
	}
	if s.RedisURL == "" {
		c.store = newAlone(o.Clock)
	} else {
		redis, err := openShared(s.RedisURL, s.Redis, rand.Text())
		if err != nil {
			return nil, fmt.Errorf("opening rollouts: Redis: %w", err)
		}
		c.store = redis
	}
	if err := c.register(o.Registerer); err != nil {
		return nil, errors.Join(fmt.Errorf("opening rollouts: %w", err), c.store.close())
	}
	kept, err := c.file.read()
	if err != nil {
		c.log.Warn("where rollouts were is not known from an earlier run", "error", err)
	}
	maps.Copy(c.known, kept)
	return c, nil
}

// Close releases what Open opened.
func (c *Controller) Close() error { return c.store.close() }

// Observe counts how a request ended. It is an outcome.Sink.
func (c *Controller) Observe(o outcome.Outcome) { c.stats.observe(o) }

// Moved has a value whenever there are other shares than before, which Overlay puts
// into a config.
func (c *Controller) Moved() <-chan struct{} { return c.moved }

// Apply says which rollouts a valid config has, and looks at them once, so that
// their shares are those of the other instances where these can be asked in time.
func (c *Controller) Apply(ctx context.Context, cfg *config.Config) {
	specs := Specs(cfg)
	c.mu.Lock()
	for route, spec := range specs {
		if before, ok := c.specs[route]; !ok || !before.equal(spec) {
			c.unsaid[route] = true
		}
		c.metrics.begin(route)
	}
	for route := range c.known {
		if _, ok := specs[route]; !ok {
			delete(c.known, route)
			delete(c.unsaid, route)
			delete(c.apart, route)
			c.metrics.decisions.DeletePartialMatch(prometheus.Labels{"route": route})
		}
	}
	c.specs, c.foreign = specs, map[string]bool{}
	c.mu.Unlock()
	c.stats.watch(cfg.Routes, specs)
	if err := c.look(ctx); err != nil && ctx.Err() == nil {
		c.log.Warn("rollouts stay where they were last known to be", "error", err)
	}
	c.signal()
}

// Run looks at the rollouts until the context ends.
func (c *Controller) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			c.save(true)
			return nil
		case <-tick.C:
			_ = c.look(ctx) // said by look
		}
	}
}

// take waits for the turn to ask the store.
func (c *Controller) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// look reports what was seen, learns where the rollouts are, and moves those for
// which it is this instance's to decide.
func (c *Controller) look(ctx context.Context) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer func() { <-c.turn }()
	reports := c.reports()
	if len(reports) == 0 {
		c.save(false)
		return nil
	}
	views, err := c.store.exchange(ctx, reports)
	if err == nil {
		err = c.follow(ctx, reports, views)
	}
	c.noteStore(ctx, err)
	if err != nil && ctx.Err() == nil {
		c.guard(reports)
	}
	c.save(false)
	return err
}

// reports are what is to be told of each rollout.
func (c *Controller) reports() []report {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []report
	for _, route := range slices.Sorted(maps.Keys(c.specs)) {
		out = append(out, report{
			route: route, seen: c.stats.take(route), known: c.known[route].Generation,
			unable: c.foreign[route], curious: c.unsaid[route],
		})
	}
	return out
}

// follow takes over what others have decided, and decides what is this instance's.
func (c *Controller) follow(ctx context.Context, reports []report, views []view) error {
	var changes []change
	for i, v := range views {
		if ch, ok := c.next(reports[i].route, v); ok {
			changes = append(changes, ch)
		}
	}
	done, err := c.store.commit(ctx, changes)
	if err != nil {
		return err
	}
	for i, ch := range changes {
		if done[i] { // else another instance was first, and is heard of by the next look
			c.committed(ch)
		}
	}
	return nil
}

// next is what is to become of a rollout, if anything.
func (c *Controller) next(route string, v view) (change, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spec, ok := c.specs[route]
	if !ok {
		return change{}, false
	}
	known := c.known[route]
	if v.generation < known.Generation {
		// What Redis has lost is put back as it was.
		return change{route: route, of: known.Generation, next: known}, true
	}
	if v.record != nil {
		// A canary's share is not another's.
		c.foreign[route] = !c.unsaid[route] && !v.record.State.Spec.sameSubject(spec)
		if c.foreign[route] {
			return change{}, false
		}
		known = *v.record
		if known.State.Spec.sameSubject(spec) {
			c.adopt(route, known)
		}
	}
	next := record{Generation: known.after(v.now), State: known.State, Counted: known.Counted}
	changed := false
	if apart, ok := c.apart[route]; ok {
		if owes(known.State, apart) {
			next.State = known.State.takeBack(v.now, TakenBack, apart.takenBack(), spec.BackEvery)
			changed = true
		} else {
			delete(c.apart, route)
			c.signal()
		}
	}
	if c.unsaid[route] {
		var other bool
		if next.State, other = Reconcile(spec, next.State, v.now); other {
			changed = true
			next.Counted = v.total
		} else {
			delete(c.unsaid, route)
		}
	}
	if p := next.State.Phase; v.decides && (p == Running || p == Paused || p == Returning) {
		seen := since(&v.total, &next.Counted)
		next.Counted = v.total
		next.State = Step(next.State, v.now, seen)
		changed = true
	}
	return change{route: route, of: known.Generation, next: next}, changed
}

// committed takes over a record that is now that of all, and tells of what it says.
func (c *Controller) committed(ch change) {
	c.mu.Lock()
	before := c.known[ch.route]
	if spec, ok := c.specs[ch.route]; ok && ch.next.State.Spec.equal(spec) {
		delete(c.unsaid, ch.route)
	}
	c.adopt(ch.route, ch.next)
	if apart, ok := c.apart[ch.route]; ok && !owes(ch.next.State, apart) {
		delete(c.apart, ch.route)
		c.signal()
	}
	c.mu.Unlock()
	c.tell(ch.route, before.State, ch.next.State)
}

// adopt takes over a record. The caller holds mu.
func (c *Controller) adopt(route string, r record) {
	before, known := c.known[route]
	c.known[route] = r
	if !known || before.State.Share != r.State.Share {
		c.signal()
	}
}

func (c *Controller) signal() {
	select {
	case c.moved <- struct{}{}:
	default:
	}
}

// tell logs and counts the decisions that a state has and the one before it has not.
func (c *Controller) tell(route string, before, s State) {
	for _, e := range s.newSince(before) {
		c.metrics.decisions.WithLabelValues(route, string(e.Kind)).Inc()
		level := slog.LevelInfo
		if e.Kind == TakenBack {
			level = slog.LevelWarn
		}
		c.log.Log(context.Background(), level, "rollout", "route", route, "backend", s.Spec.Backend, "decision", e.Kind,
			"from_percent", e.From, "to_percent", e.To, "phase", s.Phase, "why", e.Why)
	}
}

// noteStore remembers whether the store answers, and tells when that changes.
func (c *Controller) noteStore(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil: // the process stops
	case err != nil && c.down == nil:
		c.log.Warn("the Redis of rollouts does not answer: no rollout goes on, and a canary that fails here is taken back here", "error", err)
		c.down = err
	case err == nil && c.down != nil:
		c.log.Info("the Redis of rollouts answers again")
		c.down = nil
	}
	if err != nil {
		c.metrics.failures.Inc()
	} else {
		c.guarded = time.Time{}
	}
}

// guard judges what was seen here while the store is away: nothing goes on, and what
// does not stand is taken back, here. The others are told when the store is back.
func (c *Controller) guard(reports []report) {
	now := c.clock()
	passed := time.Duration(0)
	if !c.guarded.IsZero() {
		passed = now.Sub(c.guarded)
	}
	c.guarded = now
	for _, r := range reports {
		c.mu.Lock()
		before, ok := c.state(r.route)
		if !ok {
			c.mu.Unlock()
			continue
		}
		s := stayed(before, passed, r.seen)
		c.apart[r.route] = s
		if s.Share != before.Share {
			c.signal()
		}
		c.mu.Unlock()
		c.tell(r.route, before, s)
	}
}

// stayed is the state after a time in which nothing may go on, only back.
func stayed(s State, passed time.Duration, seen Sides) State {
	running := s.Phase == Running
	if running {
		s.Phase = Paused
	}
	s = Step(s, s.At.Add(passed), seen)
	if running && s.Phase == Paused {
		s.Phase = Running
	}
	return s
}

// state is where a rollout is, as far as is known here; false is not at all. The
// caller holds mu.
func (c *Controller) state(route string) (State, bool) {
	if s, ok := c.apart[route]; ok {
		return s, true
	}
	r, ok := c.known[route]
	return r.State, ok
}

// owes tells whether a rollout goes on as far as the others know, that was taken back
// here.
func owes(known, apart State) bool {
	return (apart.Phase == Aborted || apart.Phase == Returning) && (known.Phase == Running || known.Phase == Paused) &&
		known.StartedAt.Equal(apart.StartedAt) && known.Spec.equal(apart.Spec)
}

// takenBack is why a rollout was last taken back.
func (s State) takenBack() string {
	for i := len(s.History) - 1; i >= 0; i-- {
		if s.History[i].Kind == TakenBack {
			return s.History[i].Why
		}
	}
	return ""
}
