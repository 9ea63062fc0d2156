package authz

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// maxPlansTold bounds the plans that a process tells of in its log. A token's
// claim may name any.
const maxPlansTold = 32

// unknownPlans tells of plans that no limit of the config names: each once in the
// log, and all in a metric. It denies nobody anything: their callers have the
// limits that everybody has.
type unknownPlans struct {
	known func(plan string) bool // nil knows all
	count prometheus.Counter

	mu   sync.Mutex // guards told
	told map[string]bool
}

func newUnknownPlans(known func(string) bool, r prometheus.Registerer) *unknownPlans {
	return &unknownPlans{known: known, told: map[string]bool{}, count: promauto.With(r).NewCounter(prometheus.CounterOpts{
		Name: "gatewright_unknown_plans_total",
		Help: "Requests to limited routes whose caller is in a plan that no limit of the config names. They have the limits that everybody has.",
	})}
}

// observe counts a request whose caller is in a plan, and tells whether the plan
// is one to tell of in the log.
func (u *unknownPlans) observe(plan string) (tell bool) {
	if plan == "" || u.known == nil || u.known(plan) {
		return false
	}
	u.count.Inc()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.told[plan] || len(u.told) >= maxPlansTold {
		return false
	}
	u.told[kept(plan)] = true
	return true
}

// maxPlanShown is how much of a plan's name is logged: a name in a config is no
// longer.
const maxPlanShown = 63

// shownPlan is a plan as the log and the metadata name it.
func shownPlan(plan string) string {
	if len(plan) > maxPlanShown {
		return plan[:maxPlanShown]
	}
	return plan
}
