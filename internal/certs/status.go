package certs

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Status is how a certificate or an authority stands.
type Status struct {
	// Certificate is its name in the config; empty for authorities.
	Certificate string `json:"certificate,omitempty"`
	// Listeners have it.
	Listeners []string `json:"listeners"`
	// Names are those that the certificate is for.
	Names []string `json:"names,omitempty"`
	// NotAfter is when it expires; of authorities, the first of them.
	NotAfter time.Time `json:"notAfter"`
	// Fault is why what is in the files now is not served. Empty: it is.
	Fault string `json:"fault,omitempty"`
}

// Status is how each certificate stands, and then the authorities of each
// listener.
func (s *Store) Status() []Status {
	set := s.served.Load().set
	out := []Status{}
	for name, p := range set.Pairs {
		out = append(out, Status{Certificate: name, Listeners: p.Listeners, Names: namesOf(p.Leaf), NotAfter: p.Leaf.NotAfter, Fault: text(p.Fault)})
	}
	for listener, c := range set.Clients {
		out = append(out, Status{Listeners: []string{listener}, NotAfter: c.NotAfter, Fault: text(c.Fault)})
	}
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(order(a.Certificate == "")-order(b.Certificate == ""), cmp.Compare(a.Certificate, b.Certificate), slices.Compare(a.Listeners, b.Listeners))
	})
	return out
}

func order(last bool) int { return map[bool]int{true: 1}[last] }

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

type metrics struct {
	reloads *prometheus.CounterVec
	expiry  *prometheus.GaugeVec
	clients *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_tls_reloads_total",
			Help: "Certificates and authorities of listeners that were read anew, by result: applied, or invalid (what was before is served).",
		}, []string{"result"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatewright_tls_certificate_expiry_timestamp_seconds",
			Help: "When the served certificate of a listener expires, by its path in the config.",
		}, []string{"certificate"}),
		clients: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gatewright_tls_client_ca_expiry_timestamp_seconds",
			Help: "When the first of the authorities expires whose client certificates a listener takes.",
		}, []string{"listener"}),
	}
	reg.MustRegister(m.reloads, m.expiry, m.clients)
	return m
}

func (m metrics) show(s *Set) {
	m.expiry.Reset()
	m.clients.Reset()
	for name, p := range s.Pairs {
		m.expiry.WithLabelValues(name).Set(float64(p.Leaf.NotAfter.Unix()))
	}
	for listener, c := range s.Clients {
		m.clients.WithLabelValues(listener).Set(float64(c.NotAfter.Unix()))
	}
}
