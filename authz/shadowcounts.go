package authz

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// ShadowStatus is what a route's requirements in shadow have made of its
// requests since the process started.
type ShadowStatus struct {
	Route string `json:"route"`
	// Judged is how many requests they have judged.
	Judged uint64 `json:"judged"`
	// WouldDeny and WouldAdmit are what would change: requests that pass and
	// would be denied, and requests that are denied and would pass. Limits, which
	// come after requirements, are not in it.
	WouldDeny  uint64 `json:"wouldDeny"`
	WouldAdmit uint64 `json:"wouldAdmit"`
	// Reasons are why they would deny, the most frequent first.
	Reasons []ShadowReason `json:"reasons,omitempty"`
}

// ShadowReason is a reason for which requests would be denied.
type ShadowReason struct {
	Reason Reason `json:"reason"`
	// Passing and Denied are requests that pass now, and that are denied now.
	Passing uint64 `json:"passing"`
	Denied  uint64 `json:"denied"`
}

// shadowCounts count what requirements in shadow make of requests. It is a
// prometheus.Collector: metrics and status are two views of the same counts.
type shadowCounts struct {
	described *prometheus.Desc

	// mu guards counts, which has as many as there are routes and reasons.
	mu     sync.RWMutex
	counts map[shadowLabels]*atomic.Uint64
}

// shadowLabels are those that one count differs by.
type shadowLabels struct {
	route string
	// passes tells whether the request passes the requirements that are enforced.
	passes bool
	result Reason
}

func newShadowCounts(r prometheus.Registerer) *shadowCounts {
	c := &shadowCounts{
		counts: map[shadowLabels]*atomic.Uint64{},
		described: prometheus.NewDesc("gatewright_shadow_total",
			"Requests judged by requirements in shadow, by route, verdict of the requirements in force (allowed or denied), and result: what the answer would be (allowed, or the reason).",
			[]string{"route", "verdict", "result"}, nil),
	}
	if r != nil {
		r.MustRegister(c)
	}
	return c
}

func (c *shadowCounts) add(route string, passes bool, result Reason) {
	labels := shadowLabels{route, passes, result}
	c.mu.RLock()
	count := c.counts[labels]
	c.mu.RUnlock()
	if count == nil {
		count = c.count(labels)
	}
	count.Add(1)
}

func (c *shadowCounts) count(labels shadowLabels) *atomic.Uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if count := c.counts[labels]; count != nil {
		return count
	}
	labels.route = kept(labels.route)
	count := new(atomic.Uint64)
	c.counts[labels] = count
	return count
}

// Describe implements prometheus.Collector.
func (c *shadowCounts) Describe(out chan<- *prometheus.Desc) { out <- c.described }

// Collect implements prometheus.Collector.
func (c *shadowCounts) Collect(out chan<- prometheus.Metric) {
	for labels, n := range c.now() {
		verdict := "denied"
		if labels.passes {
			verdict = "allowed"
		}
		out <- prometheus.MustNewConstMetric(c.described, prometheus.CounterValue, float64(n), labels.route, verdict, string(labels.result))
	}
}

func (c *shadowCounts) now() map[shadowLabels]uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make(map[shadowLabels]uint64, len(c.counts))
	for labels, count := range c.counts {
		all[labels] = count.Load()
	}
	return all
}

// ShadowStatus is what each route's requirements in shadow have made of its
// requests, in the order of the routes' names.
func (s *Server) ShadowStatus() []ShadowStatus {
	byRoute := map[string]*ShadowStatus{}
	for labels, n := range s.shadow.now() {
		r := byRoute[labels.route]
		if r == nil {
			r = &ShadowStatus{Route: labels.route}
			byRoute[labels.route] = r
		}
		r.add(labels, n)
	}
	all := make([]ShadowStatus, 0, len(byRoute))
	for _, route := range sortedKeys(byRoute) {
		r := byRoute[route]
		slices.SortFunc(r.Reasons, func(a, b ShadowReason) int {
			return cmp.Or(cmp.Compare(b.Passing+b.Denied, a.Passing+a.Denied), strings.Compare(string(a.Reason), string(b.Reason)))
		})
		all = append(all, *r)
	}
	return all
}

func (r *ShadowStatus) add(labels shadowLabels, n uint64) {
	r.Judged += n
	if labels.result == ReasonAllowed {
		if !labels.passes {
			r.WouldAdmit += n
		}
		return
	}
	i := slices.IndexFunc(r.Reasons, func(x ShadowReason) bool { return x.Reason == labels.result })
	if i < 0 {
		i = len(r.Reasons)
		r.Reasons = append(r.Reasons, ShadowReason{Reason: labels.result})
	}
	if labels.passes {
		r.WouldDeny += n
		r.Reasons[i].Passing += n
	} else {
		r.Reasons[i].Denied += n
	}
}
