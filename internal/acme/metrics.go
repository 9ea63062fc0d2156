package acme

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ results *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatewright_acme_tries_total",
		Help: "Tries to obtain or renew a certificate by ACME, by result: obtained, or failed.",
	}, []string{"result"})}
	reg.MustRegister(m.results)
	return m
}
