// Package breakerpolicy keeps a failing backend from taking its callers down.
//
// This file holds the protections that each Envoy applies by itself: bounds on
// what it opens to a backend, and the ejection of endpoints that fail.
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
// its releases.
const (
	DefaultMaxConnections = 1024
	DefaultMaxPending     = 1024
	DefaultMaxRequests    = 1024
	DefaultMaxRetries     = 3

	DefaultRetryPercent        = 20
	DefaultMinRetryConcurrency = 3
)

// Thresholds are Envoy's circuit_breakers for a backend. Zero fields, and nil,
// are the defaults above.
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking
func Thresholds(c *config.Connections) *clusterv3.CircuitBreakers {
	if c == nil {
		c = &config.Connections{}
	}
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections:     uint32Or(c.Max, DefaultMaxConnections),
		MaxPendingRequests: uint32Or(c.MaxPending, DefaultMaxPending),
		MaxRequests:        uint32Or(c.MaxRequests, DefaultMaxRequests),
		MaxRetries:         maxRetries(c),
		RetryBudget:        retryBudget(c.RetryBudget),
	}}}
}

// maxRetries is left out beside a budget, which Envoy then keeps alone.
func maxRetries(c *config.Connections) *wrapperspb.UInt32Value {
	if c.RetryBudget != nil {
		return nil
	}
	return uint32Or(c.MaxRetries, DefaultMaxRetries)
}

func retryBudget(b *config.RetryBudget) *clusterv3.CircuitBreakers_Thresholds_RetryBudget {
	if b == nil {
		return nil
	}
	percent := float64(DefaultRetryPercent)
	if b.Percent != nil {
		percent = *b.Percent
	}
	return &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
		BudgetPercent:       &typev3.Percent{Value: percent},
		MinRetryConcurrency: uint32Or(b.MinConcurrent, DefaultMinRetryConcurrency),
	}
}

// OutlierDetection is Envoy's outlier_detection for a backend, or nil where
// the config asks for none. Only runs of 5xx eject: success rates and failure
// percentages, which Envoy computes by default, would eject by a rule that
// nobody wrote.
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier
func OutlierDetection(o *config.OutlierDetection) *clusterv3.OutlierDetection {
	if o == nil {
		return nil
	}
	return &clusterv3.OutlierDetection{
		Consecutive_5Xx:    uint32Or(o.Consecutive5xx, 5),
		Interval:           durationpb.New(o.Interval.Or(10 * time.Second)),
		BaseEjectionTime:   durationpb.New(o.BaseEjectionTime.Or(30 * time.Second)),
		MaxEjectionPercent: uint32Or(o.MaxEjectionPercent, 10),

		EnforcingConsecutive_5Xx:           wrapperspb.UInt32(100),
		EnforcingSuccessRate:               wrapperspb.UInt32(0),
		EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(0),
	}
}

func uint32Or(v, otherwise int) *wrapperspb.UInt32Value {
	if v == 0 {
		v = otherwise
	}
	return wrapperspb.UInt32(uint32(v))
}
