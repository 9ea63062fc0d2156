package keys

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a Cache tells of itself.
type metrics struct {
	lookups *prometheus.CounterVec
	reads   *prometheus.CounterVec
	entries prometheus.GaugeFunc
	synced  prometheus.GaugeFunc
}

// resultError is the result of a look-up, or a read, that failed.
const (
	resultError = "error"
	resultOK    = "ok"
)

func newMetrics(size func() int, synced func() time.Time) metrics {
	return metrics{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_keys_lookups_total",
			Help: "API keys that requests showed, by verdict; error is the database not answering.",
		}, []string{"result"}),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_keys_database_reads_total",
			Help: "Reads of the key database by the cache, by result.",
		}, []string{"result"}),
		entries: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatewright_keys_cache_entries",
			Help: "Key ids that the cache remembers, known and unknown.",
		}, func() float64 { return float64(size()) }),
		synced: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatewright_keys_synced_timestamp_seconds",
			Help: "When the cache last read all changes of the key database, 0 before the first time.",
		}, func() float64 { return seconds(synced()) }),
	}
}

func (m metrics) register(registry prometheus.Registerer) error {
	for _, collector := range []prometheus.Collector{m.lookups, m.reads, m.entries, m.synced} {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

// count counts one look-up.
func (m metrics) count(answer Found, err error) {
	result := string(answer.State)
	if err != nil {
		result = resultError
	}
	m.lookups.WithLabelValues(result).Inc()
}

// read counts one read of the database.
func (m metrics) read(err error) {
	result := resultOK
	if err != nil {
		result = resultError
	}
	m.reads.WithLabelValues(result).Inc()
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
