package discovery

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Status is how the discovery of a backend stands.
type Status struct {
	Backend string `json:"backend"`
	// Source is who knows its endpoints.
	Source string `json:"source"`
	// Endpoints are how many it has.
	Endpoints int `json:"endpoints"`
	// ConfirmedAt is when the source last said so. Nil: not in this process; what is
	// served is from an earlier run.
	ConfirmedAt *time.Time `json:"confirmedAt,omitempty"`
	// Fault is why what the source says now is not served. Empty: it is.
	Fault string `json:"fault,omitempty"`
}

// Status is how each backend stands whose endpoints are discovered, by name.
func (s *Store) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status()
}

func (s *Store) status() []Status {
	out := []Status{}
	for name, b := range s.config.Backends {
		if b.Discovery == nil {
			continue
		}
		if src := s.sources[keyOf(b.Discovery)]; src != nil {
			out = append(out, src.status(name))
		}
	}
	slices.SortFunc(out, func(a, b Status) int { return cmp.Compare(a.Backend, b.Backend) })
	return out
}

func (s *source) status(backend string) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{Backend: backend, Source: nameOf(s.said), Endpoints: len(s.endpoints)}
	if !s.confirmed.IsZero() {
		confirmed := s.confirmed
		out.ConfirmedAt = &confirmed
	}
	if s.fault != nil {
		out.Fault = s.fault.Error()
	}
	return out
}

type metrics struct {
	endpoints, confirmed, faulty *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) metrics {
	labels := []string{"backend"}
	m := metrics{
		endpoints: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatewright_discovery_endpoints",
			Help: "Endpoints of a backend that is discovered (a file, Consul, SRV records).",
		}, labels),
		confirmed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatewright_discovery_confirmed_timestamp_seconds",
			Help: "When the source last said where the backend is; 0 is never since the start.",
		}, labels),
		faulty: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatewright_discovery_faulty",
			Help: "1 while what the source of a backend says, or that it says nothing, keeps the endpoints before it served.",
		}, labels),
	}
	reg.MustRegister(m.endpoints, m.confirmed, m.faulty)
	return m
}

// show is called with mu held.
func (s *Store) show() {
	s.metrics.endpoints.Reset()
	s.metrics.confirmed.Reset()
	s.metrics.faulty.Reset()
	for _, b := range s.status() {
		s.metrics.endpoints.WithLabelValues(b.Backend).Set(float64(b.Endpoints))
		confirmed, faulty := 0.0, 0.0
		if b.ConfirmedAt != nil {
			confirmed = float64(b.ConfirmedAt.UnixMilli()) / 1000
		}
		if b.Fault != "" {
			faulty = 1
		}
		s.metrics.confirmed.WithLabelValues(b.Backend).Set(confirmed)
		s.metrics.faulty.WithLabelValues(b.Backend).Set(faulty)
	}
}
