package outcome

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Other is the label value for a route or backend that the config does not
// name (any more). So the number of time series is bounded by the config.
const Other = "other"

// Metrics counts requests by route, backend and status, and times them.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	known    Names
}

// Names bound the series: only routes and backends that it has get their own.
type Names interface {
	HasRoute(name string) bool
	HasBackend(name string) bool
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer, known Names) *Metrics {
	m := &Metrics{
		known: known,
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
	reg.MustRegister(m.requests, m.seconds)
	return m
}

// Forget drops the series of routes and backends that are no more.
func (m *Metrics) Forget(routes, backends []string) {
	for _, route := range routes {
		m.drop(prometheus.Labels{"route": route})
	}
	for _, backend := range backends {
		m.drop(prometheus.Labels{"backend": backend})
	}
}

func (m *Metrics) drop(labels prometheus.Labels) {
	m.requests.DeletePartialMatch(labels)
	m.seconds.DeletePartialMatch(labels)
}

// Observe is a Sink.
func (m *Metrics) Observe(o Outcome) {
	route, backend := o.Route, o.Backend
	if !m.known.HasRoute(route) {
		route = Other
	}
	if backend != "" && !m.known.HasBackend(backend) {
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
