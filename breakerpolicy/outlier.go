package breakerpolicy

import (
	"math"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// The rules by which endpoints are ejected where the config says nothing: Envoy's own.
const (
	DefaultConsecutive5xx = 5
	DefaultSweep          = 10 * time.Second
	// DefaultMaxEjectionPercent is of the endpoints; one may always be ejected.
	DefaultMaxEjectionPercent = 10
	// DefaultMaxEjection bounds what ejections grow to.
	DefaultMaxEjection = 5 * time.Minute
)

// OutlierDetection is Envoy's outlier_detection for a backend, or nil where
// the config asks for none. What ejects is written down: the other rules, some of
// which Envoy applies by default, are switched off.
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier
func OutlierDetection(o *config.OutlierDetection) *clusterv3.OutlierDetection {
	if o == nil {
		return nil
	}
	base := o.BaseEjectionTime.Or(config.DefaultBaseEjection)
	out := &clusterv3.OutlierDetection{
		Consecutive_5Xx:    uint32Or(o.Consecutive5xx, DefaultConsecutive5xx),
		Interval:           durationpb.New(o.Interval.Or(DefaultSweep)),
		BaseEjectionTime:   durationpb.New(base),
		MaxEjectionPercent: uint32Or(o.MaxEjectionPercent, DefaultMaxEjectionPercent),
		AlwaysEjectOneHost: wrapperspb.Bool(true),

		EnforcingConsecutive_5Xx:           always,
		EnforcingSuccessRate:               never,
		EnforcingConsecutiveGatewayFailure: never,
	}
	if o.MaxEjectionTime != 0 || base > DefaultMaxEjection {
		out.MaxEjectionTime = durationpb.New(o.MaxEjectionTime.Or(base))
	}
	if o.Jitter != 0 {
		out.MaxEjectionTimeJitter = durationpb.New(time.Duration(o.Jitter))
	}
	if n := o.ConsecutiveGatewayErrors; n != 0 {
		out.ConsecutiveGatewayFailure, out.EnforcingConsecutiveGatewayFailure = wrapperspb.UInt32(uint32(n)), always
	}
	if n := o.ConsecutiveLocalErrors; n != 0 {
		out.SplitExternalLocalOriginErrors = true
		out.ConsecutiveLocalOriginFailure, out.EnforcingConsecutiveLocalOriginFailure = wrapperspb.UInt32(uint32(n)), always
		out.EnforcingLocalOriginSuccessRate = never
	}
	byFailurePercentage(out, o.FailurePercentage)
	bySuccessRate(out, o.SuccessRate)
	return out
}

// How often what a rule finds is ejected, in percent.
var always, never = wrapperspb.UInt32(100), wrapperspb.UInt32(0)

func byFailurePercentage(out *clusterv3.OutlierDetection, p *config.FailurePercentage) {
	if p == nil {
		return
	}
	out.EnforcingFailurePercentage = always
	if out.SplitExternalLocalOriginErrors {
		out.EnforcingFailurePercentageLocalOrigin = always
	}
	out.FailurePercentageThreshold = uint32Or(p.Threshold, 85)
	out.FailurePercentageMinimumHosts = uint32Or(p.MinEndpoints, 5)
	out.FailurePercentageRequestVolume = uint32Or(p.MinRequests, 50)
}

func bySuccessRate(out *clusterv3.OutlierDetection, r *config.SuccessRate) {
	if r == nil {
		return
	}
	out.EnforcingSuccessRate = always
	if out.SplitExternalLocalOriginErrors {
		out.EnforcingLocalOriginSuccessRate = always
	}
	out.SuccessRateStdevFactor = uint32Or(int(math.Round(r.Deviations*1000)), 1900)
	out.SuccessRateMinimumHosts = uint32Or(r.MinEndpoints, 5)
	out.SuccessRateRequestVolume = uint32Or(r.MinRequests, 100)
}
