package keys

import "github.com/prometheus/client_golang/prometheus"

// sharedMetrics are what a Cache tells of its Redis.
type sharedMetrics struct {
	values *prometheus.CounterVec
	calls  *prometheus.CounterVec
	heard  prometheus.Counter
}

// What a look-up finds in Redis.
const (
	valueHit      = "hit"
	valueMiss     = "miss"
	valueOutdated = "outdated" // of ours, and the key was changed since, or may have been
	valueForged   = "forged"   // nobody who knows the secret has written it
)

// What Redis is asked to do.
const (
	callRead  = "read"
	callWrite = "write"
)

func newSharedMetrics() sharedMetrics {
	return sharedMetrics{
		values: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_keys_redis_values_total",
			Help: "What was found of API keys in Redis: hit, miss, outdated or forged; only a hit is believed.",
		}, []string{"result"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_keys_redis_calls_total",
			Help: "Calls to Redis for API keys, by operation (read, write) and result (ok, error).",
		}, []string{"operation", "result"}),
		heard: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_keys_announcements_total",
			Help: "Announcements of changed API keys heard from Redis.",
		}),
	}
}

func (s *shared) register(registry prometheus.Registerer) error {
	if s == nil {
		return nil
	}
	for _, collector := range []prometheus.Collector{s.metrics.values, s.metrics.calls, s.metrics.heard} {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

// call counts one call.
func (m sharedMetrics) call(operation string, err error) {
	result := resultOK
	if err != nil {
		result = resultError
	}
	m.calls.WithLabelValues(operation, result).Inc()
}
