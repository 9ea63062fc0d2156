package breakerpolicy

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// cellCounts are what a breaker counts. They end with it, so that the number of
// series is bounded by the config.
type cellCounts struct {
	passed, probed, denied, shadow atomic.Uint64 // answers to requests
	succeeded, failed              atomic.Uint64 // how requests have ended
	probeOK, probeFailed           atomic.Uint64 // how probes have
	probeVoid                      atomic.Uint64
	toClosed, toOpen, toHalfOpen   atomic.Uint64 // transitions that this instance has made
}

func (n *cellCounts) admitted(a Admission) {
	switch {
	case a.Denied:
		n.denied.Add(1)
	case a.Shadow:
		n.shadow.Add(1)
	case a.Probe != "":
		n.probed.Add(1)
	default:
		n.passed.Add(1)
	}
}

func (n *cellCounts) ended(v verdict) {
	if v == failed {
		n.failed.Add(1)
	} else {
		n.succeeded.Add(1)
	}
}

func (n *cellCounts) concluded(v verdict) {
	switch v {
	case succeeded:
		n.probeOK.Add(1)
	case failed:
		n.probeFailed.Add(1)
	default:
		n.probeVoid.Add(1)
	}
}

func (n *cellCounts) turned(to State) {
	switch to {
	case StateClosed:
		n.toClosed.Add(1)
	case StateOpen:
		n.toOpen.Add(1)
	default:
		n.toHalfOpen.Add(1)
	}
}

var (
	stateDesc = prometheus.NewDesc("gatewright_breaker_state",
		"1 for the state that a breaker is in, as this instance knows it, and 0 for the others.", []string{"breaker", "state"}, nil)
	requestsDesc = prometheus.NewDesc("gatewright_breaker_requests_total",
		"Answers to requests: passed, probe, denied, or shadow (passed, and would be denied if the breaker were enforced).", []string{"breaker", "result"}, nil)
	outcomesDesc = prometheus.NewDesc("gatewright_breaker_outcomes_total",
		"How requests have ended that a closed breaker counts.", []string{"breaker", "result"}, nil)
	probesDesc = prometheus.NewDesc("gatewright_breaker_probes_total",
		"How probes have ended: ok, failed, or void (the client has left, or the request was denied).", []string{"breaker", "result"}, nil)
	transitionsDesc = prometheus.NewDesc("gatewright_breaker_transitions_total",
		"Changes of state by where to. Of a fleet the one instance counts a change that has made it.", []string{"breaker", "to"}, nil)
)

// Describe implements prometheus.Collector.
func (b *Breakers) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{stateDesc, requestsDesc, outcomesDesc, probesDesc, transitionsDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (b *Breakers) Collect(to chan<- prometheus.Metric) {
	for _, c := range b.table.Load().all {
		for _, s := range []State{StateClosed, StateOpen, StateHalfOpen} {
			is := 0.0
			if c.view.Load().State == s {
				is = 1
			}
			to <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, is, c.name, string(s))
		}
		n := &c.counts
		for _, m := range []struct {
			desc  *prometheus.Desc
			label string
			count *atomic.Uint64
		}{
			{requestsDesc, "passed", &n.passed}, {requestsDesc, "probe", &n.probed}, {requestsDesc, "denied", &n.denied}, {requestsDesc, "shadow", &n.shadow},
			{outcomesDesc, "succeeded", &n.succeeded}, {outcomesDesc, "failed", &n.failed},
			{probesDesc, "ok", &n.probeOK}, {probesDesc, "failed", &n.probeFailed}, {probesDesc, "void", &n.probeVoid},
			{transitionsDesc, string(StateClosed), &n.toClosed}, {transitionsDesc, string(StateOpen), &n.toOpen}, {transitionsDesc, string(StateHalfOpen), &n.toHalfOpen},
		} {
			to <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.count.Load()), c.name, m.label)
		}
	}
}

// storeMetrics are of the calls to Redis, and of the webhooks.
type storeMetrics struct {
	seconds  prometheus.Histogram
	errors   prometheus.Counter
	webhooks *prometheus.CounterVec
}

func newStoreMetrics() *storeMetrics {
	return &storeMetrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "gatewright_breaker_store_seconds",
			Help:    "Time of the calls to Redis in which breakers are reported on. No request waits for them.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5},
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_breaker_store_errors_total",
			Help: "Reports on breakers that Redis did not answer.",
		}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_breaker_webhooks_total",
			Help: "Transitions that webhooks were told of, by result: delivered, failed (after all tries) or dropped (too many wait).",
		}, []string{"result"}),
	}
}

// register adds the metrics to reg; nil registers none.
func (b *Breakers) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	all := []prometheus.Collector{b, b.metrics.webhooks}
	if b.redis != nil {
		all = append(all, b.metrics.seconds, b.metrics.errors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatewright_breaker_alone",
			Help: "Breakers that this instance keeps alone, since their Redis does not answer.",
		}, func() float64 { return float64(b.lonely.Load()) }))
	}
	var faults []error
	for _, c := range all {
		faults = append(faults, reg.Register(c))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("registering breaker metrics: %w", err)
	}
	return nil
}
