package authz

import (
	"slices"
	"sync"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// checkMetrics count verdicts.
type checkMetrics struct {
	verdicts *prometheus.CounterVec
	seconds  prometheus.Histogram
	// rules counts rules of limits that came to nothing.
	validations *prometheus.CounterVec
	rules       *prometheus.CounterVec

	// mu guards series: those of verdicts that have been counted, found by less
	// than a hash of three labels.
	mu     sync.RWMutex
	series map[verdictLabels]prometheus.Counter
}

// verdictLabels are those that a series of verdicts differs by.
type verdictLabels struct {
	route  string
	reason Reason
}

func newCheckMetrics(r prometheus.Registerer) *checkMetrics {
	f := promauto.With(r)
	return &checkMetrics{
		series: map[verdictLabels]prometheus.Counter{},
		verdicts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_verdicts_total",
			Help: "Requests judged, by route, verdict (allowed or denied) and reason.",
		}, []string{"route", "verdict", "reason"}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "gatewright_check_seconds",
			Help:    "Time that Check took, from its message to its reply.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 2, 15), // 50 µs to 0.8 s
		}),
		rules: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_limit_rule_failures_total",
			Help: "Rules of a limit's key or cost that failed for a request, by limit. The key's part was then empty, and the cost the usual one.",
		}, []string{"limit"}),
		validations: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_openapi_validations_total",
			Help: "Requests held to an OpenAPI document, by route and result: valid, invalid (refused), shadow (not valid, and let pass) or unknown (it could not be told).",
		}, []string{"route", "result"}),
	}
}

func (m *checkMetrics) count(route string, reason Reason) {
	m.mu.RLock()
	counter := m.series[verdictLabels{route, reason}]
	m.mu.RUnlock()
	if counter == nil {
		counter = m.counter(kept(route), reason)
	}
	counter.Inc()
}

// CountCharged counts a verdict that let a request pass to a limit inside Envoy, when the
// request has ended. limited: the limit was used up.
func (s *Server) CountCharged(route string, limited bool) {
	s.metrics.countEnd(s.routeLabel(route), limited)
}

// CountLetPass counts a request that was let pass inside Envoy, by the policy of this
// hash, as one that was judged. limited: a limit behind it was used up.
func (s *Server) CountLetPass(route, policy string, limited bool) {
	route = s.routeLabel(route)
	s.metrics.countEnd(route, limited)
	if s.policies == nil {
		return
	}
	if p := s.policies.Policy(policy); p != nil && len(p.Shadow) > 0 {
		s.shadow.add(route, true, ReasonAllowed) // or else it would have been asked about
	}
}

func (m *checkMetrics) countEnd(route string, limited bool) {
	if limited {
		m.count(route, ReasonRateLimited)
	} else {
		m.count(route, ReasonAllowed)
	}
}

func (m *checkMetrics) counter(route string, reason Reason) prometheus.Counter {
	verdict := "denied"
	if reason == ReasonAllowed {
		verdict = "allowed"
	}
	counter := m.verdicts.WithLabelValues(route, verdict, string(reason))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.series[verdictLabels{route, reason}] = counter
	return counter
}

// ruleFailed counts a rule of a limit that came to nothing.
func (m *checkMetrics) ruleFailed(limit string) { m.rules.WithLabelValues(kept(limit)).Inc() }

// jwksMetrics count the loads of key sets, by provider.
type jwksMetrics struct {
	fetches *prometheus.CounterVec
	keys    *prometheus.GaugeVec
	// signatures counts what is dearest.
	signatures prometheus.Counter
	// confirmed is a time and not an age, so that it needs no clock here.
	confirmed *prometheus.GaugeVec

	// mu guards providers: those that have series.
	mu        sync.Mutex
	providers map[string]bool
}

func newJWKSMetrics(r prometheus.Registerer) *jwksMetrics {
	f := promauto.With(r)
	return &jwksMetrics{
		fetches: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_jwks_fetches_total",
			Help: "Loads of a provider's key set, by result: ok, error (not reached), invalid (not a key set), empty (no usable key).",
		}, []string{"provider", "result"}),
		keys: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatewright_jwks_keys",
			Help: "Usable keys of a provider.",
		}, []string{"provider"}),
		signatures: f.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_token_signatures_total",
			Help: "Signatures of tokens that were verified, or found to be none.",
		}),
		confirmed: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatewright_jwks_confirmed_timestamp_seconds",
			Help: "When a provider's key set was last fetched, or found to be the same, in Unix time. It is used for the provider's maxStale from then on.",
		}, []string{"provider"}),
	}
}

// retain drops the series of providers that are gone.
func (m *jwksMetrics) retain(providers []*config.JWT) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := make(map[string]bool, len(providers))
	for _, p := range providers {
		next[p.Name] = true
	}
	for name := range m.providers {
		if !next[name] {
			m.fetches.DeletePartialMatch(prometheus.Labels{"provider": name})
			m.keys.DeleteLabelValues(name)
			m.confirmed.DeleteLabelValues(name)
		}
	}
	m.providers = next
}

// sourceMeter writes the metrics of one key source under the names of all
// providers that share it. A reload may rename them.
type sourceMeter struct {
	metrics *jwksMetrics

	// mu guards the other fields.
	mu          sync.Mutex
	providers   []string
	count       int
	confirmedAt time.Time
}

func (m *sourceMeter) setProviders(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.providers = names
	for _, name := range names {
		m.metrics.keys.WithLabelValues(name).Set(float64(m.count))
		m.showConfirmed(name)
	}
}

// names are the providers that share the source.
func (m *sourceMeter) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.providers)
}

func (m *sourceMeter) confirmed(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.confirmedAt = at
	for _, name := range m.providers {
		m.showConfirmed(name)
	}
}

// showConfirmed is called with mu held.
func (m *sourceMeter) showConfirmed(provider string) {
	if !m.confirmedAt.IsZero() {
		m.metrics.confirmed.WithLabelValues(provider).Set(float64(m.confirmedAt.Unix()))
	}
}

func (m *sourceMeter) loaded(result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range m.providers {
		m.metrics.fetches.WithLabelValues(name, result).Inc()
	}
}

func (m *sourceMeter) keys(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count = n
	for _, name := range m.providers {
		m.metrics.keys.WithLabelValues(name).Set(float64(n))
	}
}
