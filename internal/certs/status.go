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
	// Listeners have it. Those of a certificate are never empty, but for one that is
	// shown to a backend.
	Listeners []string `json:"listeners"`
	// Backend is whom it is shown to, or for whom it vouches.
	Backend string `json:"backend,omitempty"`
	// Names are those that the certificate is for.
	Names []string `json:"names,omitempty"`
	// NotAfter is when it expires; of authorities, the first of them. It is zero for
	// those that the machine trusts.
	NotAfter time.Time `json:"notAfter,omitzero"`
	// ACME: it is obtained from an authority. StandIn: it is not obtained yet, and a
	// stand-in is served that no client takes.
	ACME    bool `json:"acme,omitempty"`
	StandIn bool `json:"standIn,omitempty"`
	// Fault is why what is in the files now is not served, or why a certificate could
	// not be obtained or renewed. Empty: nothing is wrong.
	Fault string `json:"fault,omitempty"`
}

// Status is how each certificate stands, then the authorities of each listener, then
// what is for backends in the same order.
func (s *Store) Status() []Status {
	set := s.served.Load().set
	out := []Status{}
	for name, p := range set.Pairs {
		out = append(out, Status{Certificate: name, Listeners: p.Listeners, Names: namesOf(p.Leaf), NotAfter: p.Leaf.NotAfter, Fault: text(p.Fault)})
	}
	for domain, p := range set.Issued {
		out = append(out, Status{Certificate: issuedName(domain), Listeners: p.Listeners, Names: namesOf(p.Leaf), NotAfter: p.Leaf.NotAfter, ACME: true, StandIn: p.StandsIn, Fault: text(p.Fault)})
	}
	for listener, c := range set.Clients {
		out = append(out, Status{Listeners: []string{listener}, NotAfter: c.NotAfter, Fault: text(c.Fault)})
	}
	for backend, p := range set.Shown {
		out = append(out, Status{Certificate: p.Name, Listeners: []string{}, Backend: backend, Names: namesOf(p.Leaf), NotAfter: p.Leaf.NotAfter, Fault: text(p.Fault)})
	}
	for name, a := range set.Roots {
		out = append(out, Status{Listeners: []string{}, Backend: cmp.Or(name, "*"), NotAfter: a.NotAfter, Fault: text(a.Fault)})
	}
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(order(a.Backend != "")-order(b.Backend != ""), order(a.Certificate == "")-order(b.Certificate == ""),
			cmp.Compare(a.Certificate, b.Certificate), slices.Compare(a.Listeners, b.Listeners), cmp.Compare(a.Backend, b.Backend))
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
	reloads                          *prometheus.CounterVec
	expiry, clients, shown, backends *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) metrics {
	gauge := func(o prometheus.GaugeOpts, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(o, []string{label})
	}
	m := metrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_tls_reloads_total",
			Help: "Certificates and authorities of listeners and for backends that were read anew, by result: applied, or invalid (what was before is served).",
		}, []string{"result"}),
		expiry: gauge(prometheus.GaugeOpts{
			Name: "gatewright_tls_certificate_expiry_timestamp_seconds",
			Help: "When the served certificate of a listener expires, by its path in the config, or acme:DOMAIN.",
		}, "certificate"),
		clients: gauge(prometheus.GaugeOpts{
			Name: "gatewright_tls_client_ca_expiry_timestamp_seconds",
			Help: "When the first of the authorities expires whose client certificates a listener takes.",
		}, "listener"),
		shown: gauge(prometheus.GaugeOpts{
			Name: "gatewright_tls_backend_certificate_expiry_timestamp_seconds",
			Help: "When the certificate expires that is shown to a backend.",
		}, "backend"),
		backends: gauge(prometheus.GaugeOpts{
			Name: "gatewright_tls_backend_ca_expiry_timestamp_seconds",
			Help: "When the first of the authorities expires that vouch for a backend; not of those that the machine trusts.",
		}, "backend"),
	}
	reg.MustRegister(m.reloads, m.expiry, m.clients, m.shown, m.backends)
	return m
}

func (m metrics) show(s *Set) {
	for _, g := range []*prometheus.GaugeVec{m.expiry, m.clients, m.shown, m.backends} {
		g.Reset()
	}
	for name, p := range s.Pairs {
		m.expiry.WithLabelValues(name).Set(float64(p.Leaf.NotAfter.Unix()))
	}
	for domain, p := range s.Issued {
		if !p.StandsIn {
			m.expiry.WithLabelValues(issuedName(domain)).Set(float64(p.Leaf.NotAfter.Unix()))
		}
	}
	for listener, c := range s.Clients {
		m.clients.WithLabelValues(listener).Set(float64(c.NotAfter.Unix()))
	}
	for backend, p := range s.Shown {
		m.shown.WithLabelValues(backend).Set(float64(p.Leaf.NotAfter.Unix()))
	}
	for backend, a := range s.Roots {
		if !a.NotAfter.IsZero() {
			m.backends.WithLabelValues(backend).Set(float64(a.NotAfter.Unix()))
		}
	}
}
