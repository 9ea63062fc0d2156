package authz

import (
	"sync"

	"github.com/gatewright/gatewright/config"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// introspectionMetrics count answers about tokens, by provider.
type introspectionMetrics struct {
	answers *prometheus.CounterVec

	// mu guards providers: those that have series.
	mu        sync.Mutex
	providers map[string]bool
}

func newIntrospectionMetrics(r prometheus.Registerer) *introspectionMetrics {
	return &introspectionMetrics{answers: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
		Name: "gatewright_introspections_total",
		Help: "Answers about opaque tokens, by provider, result (active, inactive, unavailable) and source (cache or issuer).",
	}, []string{"provider", "result", "source"})}
}

func (m *introspectionMetrics) count(provider string, found introspected, cached bool, err error) {
	result, source := "inactive", "issuer"
	switch {
	case err != nil:
		result = "unavailable"
	case found.active:
		result = "active"
	}
	if cached {
		source = "cache"
	}
	m.answers.WithLabelValues(provider, result, source).Inc()
}

// retain drops the series of providers that are gone.
func (m *introspectionMetrics) retain(providers []*config.Introspection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := make(map[string]bool, len(providers))
	for _, p := range providers {
		next[p.Name] = true
	}
	for name := range m.providers {
		if !next[name] {
			m.answers.DeletePartialMatch(prometheus.Labels{"provider": name})
		}
	}
	m.providers = next
}
