package limitxds

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Status is how a client and its server stand.
type Status struct {
	// Server and NodeID are who is asked, and as whom.
	Server string `json:"server"`
	NodeID string `json:"nodeID"`
	// Connected tells that there is a stream, and Since since when there is one or none.
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since"`
	// Version is the server's name for what it sent last and was accepted, and AcceptedAt
	// when that was: nil where nothing was.
	Version    string     `json:"version,omitempty"`
	AcceptedAt *time.Time `json:"acceptedAt,omitempty"`
	// RestoredFrom is when an earlier run has kept what is served: nil where the server
	// has sent it to this one.
	RestoredFrom *time.Time `json:"restoredFrom,omitempty"`
	// Fault is why there is no stream. Empty: there is one.
	Fault string `json:"fault,omitempty"`
}

// notYet is the fault of a client that has not failed to connect yet.
const notYet = "not connected yet"

// state is a Status that changes.
type state struct {
	mu  sync.Mutex // guards now
	now Status
}

func (s *state) change(to func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to(&s.now)
}

func (s *state) status() (out Status) {
	s.change(func(now *Status) { out = *now })
	return out
}

func (s *state) begin(of Settings, at time.Time) {
	s.now = Status{Server: of.Server, NodeID: of.NodeID, Since: at, Fault: notYet}
}

// connected notes that there is a stream, and tells whether that is worth to be told of:
// there was none yet, or it was told that there is none.
func (s *state) connected(at time.Time) (news bool) {
	s.change(func(now *Status) {
		news = !now.Connected
		now.Connected, now.Since, now.Fault = true, at, ""
	})
	return news
}

// lost notes that there is no stream, and tells whether that is news.
func (s *state) lost(why error, at time.Time) (news bool) {
	s.change(func(now *Status) {
		news = now.Connected || now.Fault == notYet
		if news {
			now.Connected, now.Since = false, at
		}
		now.Fault = why.Error()
	})
	return news
}

func (s *state) accepted(version string, at time.Time) {
	s.change(func(now *Status) { now.Version, now.AcceptedAt, now.RestoredFrom = version, &at, nil })
}

func (s *state) restored(from time.Time) {
	s.change(func(now *Status) { now.RestoredFrom = &from })
}

type metrics struct {
	connected prometheus.Gauge
	ended     prometheus.Counter
	responses *prometheus.CounterVec
}

func newMetrics() metrics {
	return metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatewright_ratelimit_config_xds_connected",
			Help: "1 while there is a stream to the xDS server of rate limits. What it sent last is served meanwhile.",
		}),
		ended: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_config_xds_failures_total",
			Help: "Streams to the xDS server of rate limits that have ended or could not be opened.",
		}),
		responses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_config_xds_responses_total",
			Help: "Responses of the xDS server of rate limits, by what it was told of them: ack or nack.",
		}, []string{"result"}),
	}
}

func (m metrics) register(reg prometheus.Registerer) error {
	for _, result := range []string{"ack", "nack"} {
		m.responses.WithLabelValues(result)
	}
	for _, c := range []prometheus.Collector{m.connected, m.ended, m.responses} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m metrics) accepted() { m.responses.WithLabelValues("ack").Inc() }
func (m metrics) refused()  { m.responses.WithLabelValues("nack").Inc() }

func (m metrics) lost() {
	m.connected.Set(0)
	m.ended.Inc()
}
