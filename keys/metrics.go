package keys

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a Cache tells of itself.
type metrics struct {
	lookups *prometheus.CounterVec
	layers  map[layer]prometheus.Counter
	layer   *prometheus.CounterVec
	reads   *prometheus.CounterVec
	entries prometheus.GaugeFunc
	synced  prometheus.GaugeFunc
}

// resultError is the result of a look-up, or a read, that failed.
const (
	resultError = "error"
	resultOK    = "ok"
)

// layer is where a record was found that a look-up wanted, or that there is none.
type layer string

const (
	layerMemory   layer = "memory"
	layerRedis    layer = "redis"
	layerDatabase layer = "database"
)

func newMetrics(size func() int, synced func() time.Time) metrics {
	m := metrics{
		layers: map[layer]prometheus.Counter{},
		layer: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_keys_records_total",
			Help: "Records that look-ups of API keys wanted, by who had them: memory, redis or database.",
		}, []string{"from"}),
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
	for _, from := range []layer{layerMemory, layerRedis, layerDatabase} {
		m.layers[from] = m.layer.WithLabelValues(string(from))
	}
	return m
}

func (m metrics) register(registry prometheus.Registerer) error {
	for _, collector := range []prometheus.Collector{m.lookups, m.layer, m.reads, m.entries, m.synced} {
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

// found counts one record that a look-up wanted.
func (m metrics) found(from layer) {
	if counter, ok := m.layers[from]; ok {
		counter.Inc()
	}
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
