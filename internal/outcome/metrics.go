package outcome

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Other is the label value for a route or backend that the config does not
// name (any more). So the number of time series is bounded by the config.
const Other = "other"

// Metrics counts requests by route, backend and status, and times them.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	known    atomic.Pointer[names]
}

type names struct{ routes, backends map[string]bool }

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_requests_total",
			Help: "Requests that Envoy has answered, by route, backend (empty: none was asked) and HTTP status (0: the client left).",
		}, []string{"route", "backend", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gatewright_request_duration_seconds",
			Help:    "Time from the first byte of a request to the last byte of its response, by route and backend.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "backend"}),
	}
	m.known.Store(&names{})
	reg.MustRegister(m.requests, m.seconds)
	return m
}

// SetKnown says which routes and backends have series of their own from now
// on. The series of those that are no more are dropped.
func (m *Metrics) SetKnown(routes, backends []string) {
	next := &names{routes: set(routes), backends: set(backends)}
	before := m.known.Swap(next)
	for route := range before.routes {
		if !next.routes[route] {
			m.drop(prometheus.Labels{"route": route})
		}
	}
	for backend := range before.backends {
		if !next.backends[backend] {
			m.drop(prometheus.Labels{"backend": backend})
		}
	}
}

func (m *Metrics) drop(labels prometheus.Labels) {
	m.requests.DeletePartialMatch(labels)
	m.seconds.DeletePartialMatch(labels)
}

// Observe is a Sink.
func (m *Metrics) Observe(o Outcome) {
	known := m.known.Load()
	route, backend := o.Route, o.Backend
	if !known.routes[route] {
		route = Other
	}
	if backend != "" && !known.backends[backend] {
		backend = Other
	}
	m.requests.WithLabelValues(route, backend, code(o.Status)).Inc()
	m.seconds.WithLabelValues(route, backend).Observe(o.Duration.Seconds())
}

// code is a status as a label; what is not an HTTP status is 0.
func code(status int) string {
	if status < 100 || status > 599 {
		return "0"
	}
	return strconv.Itoa(status)
}

func set(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}
