package ratelimit

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/internal/limitfiles"
)

// What becomes of hits.
const (
	resultLost   = "store_allowed" // not counted: the store is down, and the rules allow
	resultWithin = "within_limit"
	resultNear   = "near_limit" // within it, and above a part of it
	resultOver   = "over_limit"
	resultShadow = "shadow_mode" // over the limit, and let pass
)

// maxToldPaths is how many paths with values of requests in them metrics have at most,
// over all rules. Beyond them a rule's hits are counted under its own path.
const maxToldPaths = 1000

// ruleMetrics are what is counted of rules.
type ruleMetrics struct {
	hits     *prometheus.CounterVec
	unknown  prometheus.Counter
	shadowed prometheus.Counter

	mu   sync.Mutex // guards told
	told map[[2]string]bool
}

func newRuleMetrics() *ruleMetrics {
	return &ruleMetrics{
		hits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_rule_hits_total",
			Help: "Hits by domain and rule of the files of envoyproxy/ratelimit, and what became of them: within_limit, near_limit, over_limit, shadow_mode (over it, and let pass) or store_allowed (uncounted: Redis is down). Their sum is all.",
		}, []string{"domain", "rule", "result"}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_unknown_domain_total",
			Help: "Requests for a domain that no file has. They have no limit.",
		}),
		shadowed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatewright_ratelimit_global_shadow_mode_total",
			Help: "Requests over a limit that passed for GATEWRIGHT_RATELIMIT_SHADOW_MODE alone.",
		}),
		told: map[[2]string]bool{},
	}
}

func (m *ruleMetrics) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	if err := errors.Join(reg.Register(m.hits), reg.Register(m.unknown), reg.Register(m.shadowed)); err != nil {
		return fmt.Errorf("registering rate limit metrics: %w", err)
	}
	return nil
}

// hit counts hits of a rule under a path of its own.
func (m *ruleMetrics) hit(r *limitfiles.Rule, path, result string, hits int64) {
	if path != r.Path() && !m.tells(r.Domain, path) {
		path = r.Path()
	}
	m.hits.WithLabelValues(valid(r.Domain), valid(path), result).Add(float64(hits))
}

// tells reports whether a path with values in it has a series, or may have one.
func (m *ruleMetrics) tells(domain, path string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{domain, path}
	if m.told[key] {
		return true
	}
	if len(m.told) >= maxToldPaths {
		return false
	}
	m.told[key] = true
	return true
}

// valid is text as UTF-8: what is not becomes "?".
func valid(text string) string { return strings.ToValidUTF8(text, "?") }
