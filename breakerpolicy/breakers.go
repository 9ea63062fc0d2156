package breakerpolicy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/internal/outcome"
	"github.com/gatewright/gatewright/internal/redisclient"
)

// Settings come from the environment.
type Settings struct {
	// RedisURL is the Redis that all instances share; see redisclient.Client.
	// Empty: this instance is alone.
	RedisURL string `envconfig:"GATEWRIGHT_REDIS_URL"`
	// Redis is what connections need beside that URL.
	Redis redisclient.Files
	// RedisTimeout is how long Redis is waited for, at least 100ms: no request
	// does. 0 means 100ms.
	RedisTimeout time.Duration `envconfig:"GATEWRIGHT_REDIS_TIMEOUT" default:"20ms"`
}

// leastTimeout is long enough for a Redis that is a little slow, and short enough
// for what fails meanwhile.
const leastTimeout = 100 * time.Millisecond

// Admission is the answer for one request. The zero value lets it pass: no breaker
// is in front of its backend.
type Admission struct {
	// Name is the breaker's. Empty: there is none.
	Name string
	// State is the one that the breaker is in.
	State State
	// Denied: the request must not go to its backend. RetryAfter is how long until
	// another one may.
	Denied     bool
	RetryAfter time.Duration
	// Shadow: it would be denied, were the breaker enforced.
	Shadow bool
	// Probe is the handle of the probe that the request is: whoever hears of its end
	// gives it to Observe, and Cancel takes it back. It has no spaces. Empty: it is none.
	Probe string
}

// Breakers are the breakers of a config in this process. It is safe for concurrent
// use. Open makes one.
type Breakers struct {
	log     *slog.Logger
	metrics *storeMetrics
	hooks   *hooks
	now     func() int64 // milliseconds, of a clock that does not jump
	by      string       // this instance
	ids     atomic.Int64 // of probes

	local   *memory
	redis   *redisStore // nil: this instance is alone
	timeout time.Duration

	table    atomic.Pointer[table]
	applying sync.Mutex // held by Apply
	// lonely is how many breakers go on without Redis.
	lonely atomic.Int64

	hurry             chan struct{} // holds one token while a breaker has something to tell at once
	flying, returning atomic.Bool   // a flight to Redis is under way; one of breakers that are alone is
	flights           sync.WaitGroup
	closing           atomic.Bool
	stop              context.CancelFunc
	stopped           chan struct{}
}

// table finds breakers. It does not change.
type table struct {
	of     map[place]*cell
	byName map[string]*cell
	all    []*cell // by name
}

// place is what a breaker is in front of. The route is empty where it is for all.
type place struct{ route, backend string }

// Open returns breakers without definitions. A Redis that cannot be reached is no
// error: each instance then goes on alone, and shares when it can. Errors are a
// malformed URL or timeout, and metrics that reg has already; a nil reg gets none.
// The caller closes them.
func Open(s Settings, log *slog.Logger, reg prometheus.Registerer) (*Breakers, error) {
	b := &Breakers{
		log: log, metrics: newStoreMetrics(), now: steadyClock(), by: rand.Text()[:13],
		hurry: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	b.local = newMemory(b.now)
	b.hooks = newHooks(log, b.metrics.webhooks)
	b.table.Store(&table{})
	if s.RedisURL != "" {
		if s.RedisTimeout < 0 {
			return nil, fmt.Errorf("opening breakers: Redis timeout %v, must be > 0", s.RedisTimeout)
		}
		b.timeout = max(s.RedisTimeout, leastTimeout)
		client, err := redisclient.Client(s.RedisURL, s.Redis, redisclient.Needs{Timeout: b.timeout, PoolSize: 4, Idle: 1})
		if err != nil {
			return nil, fmt.Errorf("opening breakers: Redis: %w", err)
		}
		b.redis = newRedisStore(client)
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	go b.run(ctx)
	if err := b.register(reg); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// steadyClock is the time of day when it is made, and goes on by a clock that neither
// stands nor jumps.
func steadyClock() func() int64 {
	began := time.Now()
	day := began.UnixMilli()
	return func() int64 { return day + time.Since(began).Milliseconds() }
}

// Apply has these breakers, by name, and no others. One that was there under its name
// goes on in its state and with its counts, by its new definition. Where Redis is
// set, it is asked for the state of those that are new; that is waited for, for no
// longer than the timeout.
func (b *Breakers) Apply(defs map[string]Definition) {
	b.applying.Lock()
	defer b.applying.Unlock()
	before := b.table.Load()
	next := &table{of: make(map[place]*cell, len(defs)), byName: make(map[string]*cell, len(defs))}
	var fresh []*cell
	for _, name := range slices.Sorted(maps.Keys(defs)) {
		l := newLaw(defs[name])
		c := before.byName[name]
		if c == nil {
			c = newCell(name, l, b.now(), b.redis != nil)
			fresh = append(fresh, c)
		} else {
			c.law.Store(l)
		}
		next.of[place{l.Route, l.Backend}] = c
		next.byName[name] = c
		next.all = append(next.all, c)
	}
	b.learn(fresh)
	b.table.Store(next)
	for name, c := range before.byName {
		if next.byName[name] == nil {
			b.drop(c)
		}
	}
}

// learn asks Redis for the state of breakers that are new, until it does not answer:
// the others are asked for as any that is alone.
func (b *Breakers) learn(fresh []*cell) {
	for some := range slices.Chunk(fresh, mostInFlight) {
		if b.redis == nil || b.lonely.Load() > 0 {
			return
		}
		for _, c := range some {
			c.flight.Lock()
		}
		b.fly(some)
	}
}

// drop forgets a breaker that is in no config any more.
func (b *Breakers) drop(c *cell) {
	c.flight.Lock() // what is under way would bring it back
	defer c.flight.Unlock()
	b.local.forget(c.name)
	if c.drop() && b.redis != nil {
		b.lonely.Add(-1)
	}
}

// find is the breaker in front of a backend for requests of a route; nil where there
// is none.
func (t *table) find(route, backend string) *cell {
	if c := t.of[place{"", backend}]; c != nil {
		return c
	}
	return t.of[place{route, backend}]
}

// Admit decides on one request of a route to a backend. It neither blocks nor asks
// anybody.
func (b *Breakers) Admit(route, backend string) Admission {
	c := b.table.Load().find(route, backend)
	if c == nil {
		return Admission{}
	}
	a, wake := c.admit(b.now())
	if wake {
		b.wake()
	}
	return a
}

// Cancel takes back the probe of a request that goes to no backend after all: the
// next request may be it. A handle of nobody is nothing.
func (b *Breakers) Cancel(handle string) {
	probe, name := splitHandle(handle)
	if c := b.table.Load().byName[name]; c != nil && c.cancel(probe, b.now()) {
		b.wake()
	}
}

// Observe takes in how a request has ended. It is an outcome.Sink.
func (b *Breakers) Observe(o outcome.Outcome) {
	t := b.table.Load()
	if o.Breaker != "" {
		probe, name := splitHandle(o.Breaker)
		if c := t.byName[name]; c != nil && c.concludeProbe(result{probe, c.law.Load().failures.judge(&o)}, b.now()) {
			b.wake()
		}
		return
	}
	c := t.find(o.Route, o.Backend)
	if c != nil && c.observe(c.law.Load().failures.judge(&o), o.Duration, b.now()) {
		b.wake()
	}
}

func (b *Breakers) wake() {
	select {
	case b.hurry <- struct{}{}:
	default:
	}
}

// probeID names the next probe, if this instance is given one.
func (b *Breakers) probeID() string { return b.by + "-" + strconv.FormatInt(b.ids.Add(1), 36) }

// Close gives back what this instance holds, tells what it has not told, and ends
// what Open started.
func (b *Breakers) Close() error {
	b.stop()
	<-b.stopped
	b.flights.Wait()
	b.closing.Store(true)
	b.leave()
	b.hooks.close()
	if b.redis == nil {
		return nil
	}
	if err := b.redis.close(); err != nil {
		return fmt.Errorf("closing breakers: %w", err)
	}
	return nil
}

// inForce is the breaker of a name; an error where there is none.
func (b *Breakers) inForce(name string) (*cell, error) {
	c := b.table.Load().byName[name]
	if c == nil {
		return nil, fmt.Errorf("%w %q", ErrUnknown, name)
	}
	return c, nil
}

// ErrUnknown: the config has no breaker of this name.
var ErrUnknown = errors.New("there is no breaker")
