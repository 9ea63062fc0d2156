package ratelimit

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
)

// result is what decisions are counted by.
type result int

const (
	resultAllowed result = iota
	resultDenied
	resultStoreAllowed // passed uncounted: the store is down, and the limit allows
	resultStoreDenied  // the store is down, and the limit denies
	// Of limits in shadow, which deny nobody.
	resultShadowAllowed
	resultShadowDenied
	results // so many
)

func (r result) String() string {
	return [...]string{"allowed", "denied", "store_allowed", "store_denied", "shadow_allowed", "shadow_denied"}[r]
}

// metrics are what the package counts. Labels are bounded by the limits of the
// config.
type metrics struct {
	decisions     *prometheus.CounterVec
	near          *prometheus.CounterVec
	recalled      prometheus.Counter
	storeErrors   prometheus.Counter
	storeRequests prometheus.Counter
	unreleased    prometheus.Counter
	storeSeconds  prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_decisions_total",
			Help: "Decisions by limit. A request that one limit denies counts for that limit alone.",
		}, []string{"limit", "result"}),
		near: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_near_total",
			Help: "Requests to limits that are not exact, by who was asked: here for this instance, store for Redis.",
		}, []string{"limit", "consistency", "by"}),
		recalled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_recalled_denials_total",
			Help: "Denials by limits that were known to be used up, so that nobody was asked.",
		}),
		storeErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_store_errors_total",
			Help: "Calls to Redis for requests that failed. Requests that are not sent to it are not counted.",
		}),
		storeRequests: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_store_requests_total",
			Help: "Requests that were sent to Redis. Those that come at the same time share a call.",
		}),
		unreleased: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_unreleased_total",
			Help: "Requests in flight whose end Redis could not be told: they count until their lease ends.",
		}),
		storeSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "gatewright_ratelimit_store_seconds",
			Help:    "Time of the calls to Redis for requests, failed ones included.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .02, .05, .1, .5},
		}),
	}
}

// asked counts one call to the store.
func (m *metrics) asked(requests int, took time.Duration, err error) {
	m.storeRequests.Add(float64(requests))
	m.storeSeconds.Observe(took.Seconds())
	if err != nil {
		m.storeErrors.Inc()
	}
}

// decided counts one decision of one limit.
func (l *Limiter) decided(limit *config.Limit, r result) {
	if known, err := l.limits.limit(limit); err == nil { // else nothing was decided
		known.count(l.metrics, limit, r)
	}
}

// count counts one decision of the limit.
func (k *knownLimit) count(m *metrics, limit *config.Limit, r result) {
	counter := k.decided[r].Load()
	if counter == nil {
		c := m.decisions.WithLabelValues(limit.Name, r.String())
		counter = &c
		k.decided[r].Store(counter)
	}
	(*counter).Inc()
}

// askedNear counts a limit that is not exact, and who was asked.
func (m *metrics) askedNear(l *config.Limit, here bool) {
	by := "store"
	if here {
		by = "here"
	}
	m.near.WithLabelValues(l.Name, string(l.Consistency), by).Inc()
}

// register adds the metrics of l to reg; nil registers none.
func (l *Limiter) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	all := []prometheus.Collector{
		l.metrics.decisions,
		l.metrics.recalled,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatewright_ratelimit_memory_buckets",
			Help: "Buckets kept in this process.",
		}, func() float64 { return float64(l.local.size()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_memory_evictions_total",
			Help: "Buckets that were forgotten before they were full, for want of room.",
		}, func() float64 { return float64(l.local.evicted.Load()) }),
	}
	if l.shared != nil {
		all = append(all, l.metrics.storeErrors, l.metrics.storeRequests, l.metrics.storeSeconds, l.metrics.near, l.metrics.unreleased,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "gatewright_ratelimit_leases",
				Help: "Keys of which this instance holds tokens, or has lately.",
			}, func() float64 { return float64(l.near.leases.shares.size()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "gatewright_ratelimit_views",
				Help: "Keys that this instance decides by what Redis last said, and exchanges.",
			}, func() float64 { return float64(l.near.views.views.size()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "gatewright_ratelimit_instances",
				Help: "Instances that share Redis, by which limits are divided while it does not answer.",
			}, func() float64 { return float64(l.live.instances()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "gatewright_ratelimit_store_up",
				Help: "1 while all known servers of Redis decide, 0 while limits go on by their onStoreFailure.",
			}, l.storeUp))
	}
	var faults []error
	for _, c := range all {
		faults = append(faults, reg.Register(c))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("registering rate limit metrics: %w", err)
	}
	return nil
}

func (l *Limiter) storeUp() float64 {
	if l.shared.up() {
		return 1
	}
	return 0
}
