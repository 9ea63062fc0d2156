package rollout

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of decisions. Routes are those of rollouts that the config has,
// or had since the process started.
type metrics struct {
	decisions *prometheus.CounterVec
	failures  prometheus.Counter
}

func newMetrics() metrics {
	return metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_rollout_decisions_total",
			Help: "Decisions about rollouts that this instance has made, by route and kind: started, advanced, finished, taken-back (the canary did not stand), went-back, changed, pause, resume, promote, abort.",
		}, []string{"route", "kind"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_rollout_store_failures_total",
			Help: "Looks at rollouts for which Redis did not answer.",
		}),
	}
}

// begin shows a rollout's decisions from 0 on: the increase to a first one, as of a
// canary that is taken back, is seen by nobody otherwise.
func (m metrics) begin(route string) {
	for _, k := range Kinds() {
		m.decisions.WithLabelValues(route, string(k))
	}
}

var (
	percentDesc = prometheus.NewDesc("gatewright_rollout_percent", "What the canary of a rollout gets now, in percent.", []string{"route", "backend"}, nil)
	phaseDesc   = prometheus.NewDesc("gatewright_rollout_phase", "1 for the phase that a rollout is in: running, paused, returning, aborted, done or unknown.", []string{"route", "backend", "phase"}, nil)
)

// register offers the metrics. A nil registerer gets none.
func (c *Controller) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	for _, one := range []prometheus.Collector{c.metrics.decisions, c.metrics.failures, gauges{c}} {
		if err := reg.Register(one); err != nil {
			return err
		}
	}
	return nil
}

// gauges are where the rollouts are now, and nothing of those that are no more.
type gauges struct{ c *Controller }

// Describe implements prometheus.Collector.
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- percentDesc
	ch <- phaseDesc
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	for _, s := range g.c.Status() {
		ch <- prometheus.MustNewConstMetric(percentDesc, prometheus.GaugeValue, float64(s.Percent), s.Route, s.Backend)
		ch <- prometheus.MustNewConstMetric(phaseDesc, prometheus.GaugeValue, 1, s.Route, s.Backend, string(s.Phase))
	}
}
