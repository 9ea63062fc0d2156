// Package breakerpolicy keeps a failing backend from taking its callers down.
//
// This file and its neighbours outlier.go and adaptive.go hold the protections that
// each Envoy applies by itself: bounds on what it opens to a backend, the ejection of
// endpoints that fail, and a bound on the requests at once that follows from how long
// they take.
package breakerpolicy

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// The bounds of one Envoy towards one backend where the config says nothing:
// Envoy's own defaults, written out so that they are seen and do not move with
// its releases. At 1024 requests at once a backend that takes 100 ms has ten thousand
// requests a second from each Envoy; one that does not, has stopped.
const (
	DefaultMaxConnections = 1024
	DefaultMaxPending     = 1024
	DefaultMaxRequests    = 1024
	DefaultMaxRetries     = 3
)

// The budget of retries where the config says nothing. It is for a backend that fails
// every request at once: of λ requests a second, 0.2·λ or 10 are then repeated,
// whichever is more. One retry at a time, waiting for 100 ms on average
// (config.DefaultBackoff), is ten a second; and 20 % of the requests of 100 ms are so
// many at a time that 20 % of those of a second are repeated. The shorter a route's
// waits, the more.
const (
	DefaultRetryPercent        = 20
	DefaultMinRetryConcurrency = 1
	DefaultRetryInterval       = 100 * time.Millisecond
)

// Thresholds are Envoy's circuit_breakers for a backend that some route asks again
// (retried), or none does. Zero fields, and nil, are the defaults above: a budget,
// where there are retries.
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking
func Thresholds(c *config.Connections, retried bool) *clusterv3.CircuitBreakers {
	if c == nil {
		c = &config.Connections{}
	}
	t := &clusterv3.CircuitBreakers_Thresholds{
		MaxConnections:     uint32Or(c.Max, DefaultMaxConnections),
		MaxPendingRequests: uint32Or(c.MaxPending, DefaultMaxPending),
		MaxRequests:        uint32Or(c.MaxRequests, DefaultMaxRequests),
	}
	// Of the two bounds on retries Envoy keeps the budget alone, where it has one.
	switch {
	case c.RetryBudget != nil:
		t.RetryBudget = retryBudget(c.RetryBudget)
	case c.MaxRetries == 0 && retried:
		t.RetryBudget = retryBudget(&config.RetryBudget{})
	default:
		t.MaxRetries = uint32Or(c.MaxRetries, DefaultMaxRetries)
	}
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{t}}
}

func retryBudget(b *config.RetryBudget) *clusterv3.CircuitBreakers_Thresholds_RetryBudget {
	percent := float64(DefaultRetryPercent)
	if b.Percent != nil {
		percent = *b.Percent
	}
	return &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
		BudgetPercent:       &typev3.Percent{Value: percent},
		BudgetInterval:      durationpb.New(b.Interval.Or(DefaultRetryInterval)),
		MinRetryConcurrency: uint32Or(b.MinConcurrent, DefaultMinRetryConcurrency),
	}
}

func uint32Or(v, otherwise int) *wrapperspb.UInt32Value {
	if v == 0 {
		v = otherwise
	}
	return wrapperspb.UInt32(uint32(v))
}
