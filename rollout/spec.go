package rollout

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/gatewright/gatewright/config"
)

// The defaults of what a rollout does not say.
const (
	// DefaultMinRequests is config.AbortWhen.MinRequests.
	DefaultMinRequests = 50
	// DefaultErrorTolerance and DefaultLatencyTolerance are those of
	// config.RolloutTolerance.
	DefaultErrorTolerance   = 1.25
	DefaultLatencyTolerance = 1.2
)

// Spec is a rollout as a valid config has it, with its defaults.
type Spec struct {
	// Route is the route whose weights move, and Backend the canary.
	Route   string `json:"route"`
	Backend string `json:"backend"`
	// Dark tells that the canary gets copies of requests (config.Mirror) and no
	// request itself: its share is that of the requests that are copied.
	Dark bool `json:"dark,omitempty"`
	// Release is which release of the canary it is, in any words.
	Release string `json:"release,omitempty"`
	// Steps are the canary's shares in percent, rising. Every is how long each
	// lasts.
	Steps []int         `json:"steps"`
	Every time.Duration `json:"every"`
	// BackEvery is how long each step back lasts. 0 goes back at once.
	BackEvery time.Duration `json:"backEvery,omitempty"`
	// ErrorRate and P99 are what the canary may not exceed. 0 is no bound.
	ErrorRate float64       `json:"errorRate,omitempty"`
	P99       time.Duration `json:"p99,omitempty"`
	// MinRequests are those of the canary in a step without which nothing is
	// decided.
	MinRequests uint64 `json:"minRequests"`
	// ErrorTolerance and LatencyTolerance are how many times the stable side's
	// error rate and p99 the canary's may be.
	ErrorTolerance   float64 `json:"errorTolerance"`
	LatencyTolerance float64 `json:"latencyTolerance"`
}

// Specs are the rollouts of a valid config, by route.
func Specs(c *config.Config) map[string]Spec {
	out := map[string]Spec{}
	for _, r := range c.Routes {
		if r.Rollout != nil {
			out[r.Name] = newSpec(r)
		}
	}
	return out
}

func newSpec(r *config.Route) Spec {
	o := r.Rollout
	s := Spec{
		Route: r.Name, Backend: o.Backend, Release: o.Release, Dark: r.DarkCanary() != "",
		Steps: o.Steps, Every: time.Duration(o.Every), BackEvery: time.Duration(o.BackEvery),
		MinRequests: DefaultMinRequests, ErrorTolerance: DefaultErrorTolerance, LatencyTolerance: DefaultLatencyTolerance,
	}
	a := o.AbortWhen
	if a == nil {
		return s
	}
	s.ErrorRate, s.P99 = a.ErrorRate, time.Duration(a.P99)
	if a.MinRequests > 0 {
		s.MinRequests = uint64(a.MinRequests)
	}
	if t := a.Tolerance; t != nil {
		if t.Errors > 0 {
			s.ErrorTolerance = t.Errors
		}
		if t.Latency > 0 {
			s.LatencyTolerance = t.Latency
		}
	}
	return s
}

// sameSubject tells whether the same is rolled out, by whatever terms.
func (s Spec) sameSubject(other Spec) bool {
	return s.Route == other.Route && s.Backend == other.Backend && s.Dark == other.Dark && s.Release == other.Release
}

// equal tells whether the same is rolled out by the same terms.
func (s Spec) equal(other Spec) bool { return reflect.DeepEqual(s, other) }

// described is what is rolled out, in words.
func (s Spec) described() string {
	if s.Release == "" {
		return s.Backend
	}
	return fmt.Sprintf("%s, release %s", s.Backend, s.Release)
}

// stepUpTo is the last step that gives the canary at most a share, or the first.
func (s Spec) stepUpTo(share int) int {
	i, found := slices.BinarySearch(s.Steps, share)
	if found {
		return i
	}
	return max(i-1, 0)
}

// last is the index of the last step.
func (s Spec) last() int { return len(s.Steps) - 1 }
