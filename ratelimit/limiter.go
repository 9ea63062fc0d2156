package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/redisclient"
)

// Settings come from the environment.
type Settings struct {
	// RedisURL is the Redis that all instances share; see redisclient.Client.
	// Empty counts in this process.
	RedisURL string `envconfig:"GATEWRIGHT_REDIS_URL"`
	// Redis is what connections need beside that URL.
	Redis redisclient.Files
	// RedisTimeout is the longest that a request waits for Redis. 0 means 20ms.
	RedisTimeout time.Duration `envconfig:"GATEWRIGHT_REDIS_TIMEOUT" default:"20ms"`
}

const defaultRedisTimeout = 20 * time.Millisecond

// Limiter decides whether requests pass their limits. It is safe for concurrent
// use. Open makes one.
type Limiter struct {
	local   *memory
	denials *denials
	shadows shadows
	shared  *shared // nil: everything is local
	near    *near   // what is decided here of what is shared; nil as shared is
	live    *live   // the instances that share it; nil as shared is
	// owes says that local holds what is to be charged in shared.
	owes    atomic.Bool
	stop    context.CancelFunc // ends settling
	settled chan struct{}
	metrics *metrics
	limits  knownLimits
	log     *slog.Logger
	// ids are the requests' that logs remember; releases, of requests in flight,
	// are nil where shared is.
	ids      atomic.Int64
	releases *releases
}

// Open returns the limiter that s describes. A Redis that cannot be reached is
// no error: the log says what is done meanwhile, and it is used once it can be.
// Errors are a malformed URL or timeout, and metrics that reg has already; a
// nil reg gets none. The caller closes the limiter.
func Open(s Settings, log *slog.Logger, reg prometheus.Registerer) (*Limiter, error) {
	l := &Limiter{local: newMemory(defaultMaxBuckets), denials: newDenials(), metrics: newMetrics(), log: log}
	l.ids.Store(firstID())
	if s.RedisURL == "" {
		log.Info("rate limits are counted in this process (no Redis is set)")
		return l, l.register(reg)
	}
	if s.RedisTimeout < 0 {
		return nil, fmt.Errorf("opening rate limits: Redis timeout %v, must be > 0", s.RedisTimeout)
	}
	timeout := config.Duration(s.RedisTimeout).Or(defaultRedisTimeout)
	redis, err := newRedisStore(s.RedisURL, s.Redis, timeout)
	if err != nil {
		return nil, fmt.Errorf("opening rate limits: Redis: %w", err)
	}
	l.shared = openShared(redis, timeout, log, l.metrics)
	l.near = newNear(l.shared)
	l.releases = newReleases(l.shared, l.metrics)
	l.live = newLive(redis, timeout)
	l.startSettling()
	if err := l.register(reg); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close ends what Open started. A Take after it finds Redis down.
func (l *Limiter) Close() error {
	if l.shared == nil {
		return nil
	}
	l.stop()
	<-l.settled
	l.near.close()
	l.releases.close()
	l.live.close()
	if err := l.shared.close(); err != nil {
		return fmt.Errorf("closing rate limits: %w", err)
	}
	return nil
}

// Take charges all limits of a request, or none. It waits for Redis at most
// the timeout of the settings, and always decides; without charges it allows.
func (l *Limiter) Take(ctx context.Context, charges []Charge) Decision {
	decision, _ := l.decide(ctx, charges)
	return decision
}

// decide is Take with the verdict of each charge. Without verdicts the
// decision is Unavailable.
func (l *Limiter) decide(ctx context.Context, charges []Charge) (Decision, []verdict) {
	if at := shadowed(charges); len(at) > 0 {
		return l.decideBeside(ctx, charges, at)
	}
	return l.decideTogether(ctx, charges)
}

// decideTogether charges all, or none.
func (l *Limiter) decideTogether(ctx context.Context, charges []Charge) (Decision, []verdict) {
	if len(charges) == 0 {
		return Decision{Allowed: true}, nil
	}
	b, err := l.basket(charges)
	if err != nil {
		return Decision{Unavailable: true}, nil
	}
	asked := l.denials.now()
	decision, verdicts := l.ask(ctx, b)
	return l.conclusion(b, asked, decision, verdicts)
}

// basket is that of the charges, with what each of its items is remembered by. An
// error is in the log.
func (l *Limiter) basket(charges []Charge) (*basket, error) {
	b, err := newBasket(charges, &l.limits)
	return b, l.ready(b, err)
}

// ready numbers a basket that has been filled, or logs why it could not be.
func (l *Limiter) ready(b *basket, err error) error {
	if err != nil {
		l.log.Error("a request is denied for a limit that cannot be counted", "error", err)
		return err
	}
	l.number(b)
	return nil
}

// conclusion is the decision on a basket with the verdict of each charge, remembered as
// of when it was asked for.
func (l *Limiter) conclusion(b *basket, asked time.Time, decision Decision, verdicts []verdict) (Decision, []verdict) {
	l.denials.remember(asked, b, verdicts)
	if decision.Unavailable {
		return decision, nil
	}
	if decision.Allowed {
		decision.Handles = handles(b, verdicts)
	}
	return decision, b.each(verdicts)
}
