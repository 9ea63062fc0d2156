package outcome

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Other is the label value for a route or backend that the config does not
// name (any more). So the number of time series is bounded by the config.
const Other = "other"

// Metrics counts requests by route, backend and status, and times them.
type Metrics struct {
	// Recorded is the id of the trace of an outcome, and whether there are spans of it.
	// It must be set before KeepExemplars wants it.
	Recorded func(Outcome) (trace string, ok bool)

	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	known    Names
	now      func() time.Time

	mu        sync.RWMutex // guards what follows
	found     map[place]series
	exemplars Exemplars
}

// buckets are the upper bounds of those of the latency, in seconds.
var buckets = [...]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// place is what a request is counted by.
type place struct {
	route, backend string
	status         int
}

// series are those of a place that the config names: to look them up by their labels
// is dearer than all else that is done with an outcome.
type series struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
	gates    *gates // nil: they have no exemplars
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
		now:   time.Now,
		found: map[place]series{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_requests_total",
			Help: "Requests that Envoy has answered, by route, backend (empty: none was asked) and HTTP status (0: the client left).",
		}, []string{"route", "backend", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gatewright_request_duration_seconds",
			Help:    "Time from the first byte of a request to the last byte of its response, by route and backend.",
			Buckets: buckets[:],
			// The same as a native histogram, for scrapers that take those: its buckets
			// are 10 % wide at most, and there are never more than 100 of them:
			// where times are spread wider, wider ones.
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"route", "backend"}),
	}
	reg.MustRegister(m.requests, m.seconds)
	return m
}

// Forget drops the series of routes and backends that are no more.
func (m *Metrics) Forget(routes, backends []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.found)
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
	at := place{o.Route, o.Backend, o.Status}
	if !o.Upstream {
		at.backend = "" // none was asked
	}
	m.mu.RLock()
	found, ok := m.found[at]
	m.mu.RUnlock()
	if !ok {
		found = m.find(at)
	}
	if found.gates != nil {
		found.exemplify(o)
		return
	}
	found.requests.Inc()
	found.seconds.Observe(o.Duration.Seconds())
}

// exemplify counts and times an outcome which may be an exemplar.
func (s series) exemplify(o Outcome) {
	requests, seconds := s.gates.pass(o)
	s.requests.(prometheus.ExemplarAdder).AddWithExemplar(1, requests)
	s.seconds.(prometheus.ExemplarObserver).ObserveWithExemplar(o.Duration.Seconds(), seconds)
}

// find looks the series of a place up, and keeps those of names that are known now:
// others may be tomorrow, and there is no end of them.
func (m *Metrics) find(at place) series {
	m.mu.Lock() // so that what is kept is not forgotten already
	defer m.mu.Unlock()
	route, backend := at.route, at.backend
	if !m.known.HasRoute(route) {
		route = Other
	}
	if backend != "" && !m.known.HasBackend(backend) {
		backend = Other
	}
	found := series{requests: m.requests.WithLabelValues(route, backend, code(at.status)), seconds: m.seconds.WithLabelValues(route, backend)}
	if route == at.route && backend == at.backend && code(at.status) != noStatus {
		if m.exemplars != NoExemplars {
			found.gates = &gates{recorded: m.Recorded, now: m.now, users: m.exemplars == UserExemplars}
		}
		m.found[at] = found
	}
	return found
}

// noStatus is the label of what is no status of HTTP.
const noStatus = "0"

// code is a status as a label; what is not an HTTP status is noStatus.
func code(status int) string {
	if status < 100 || status > 599 {
		return noStatus
	}
	return strconv.Itoa(status)
}
