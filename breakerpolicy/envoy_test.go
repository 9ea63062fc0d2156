package breakerpolicy

import (
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

func TestThresholdsDefaults(t *testing.T) {
	for name, c := range map[string]*config.Connections{"nil": nil, "zero": {}} {
		for _, retried := range []bool{false, true} {
			got := Thresholds(c, retried).GetThresholds()[0]
			if got.GetMaxConnections().GetValue() != DefaultMaxConnections ||
				got.GetMaxPendingRequests().GetValue() != DefaultMaxPending ||
				got.GetMaxRequests().GetValue() != DefaultMaxRequests ||
				(got.GetRetryBudget() != nil) != retried || (got.GetMaxRetries() == nil) != retried {
				t.Errorf("%s, retried %t: %v, want the documented defaults", name, retried, got)
			}
		}
	}
}

func TestThresholdsSaid(t *testing.T) {
	for _, retried := range []bool{false, true} {
		got := Thresholds(&config.Connections{Max: 1, MaxPending: 2, MaxRequests: 3, MaxRetries: 4}, retried).GetThresholds()[0]
		if got.GetMaxConnections().GetValue() != 1 || got.GetMaxPendingRequests().GetValue() != 2 ||
			got.GetMaxRequests().GetValue() != 3 || got.GetMaxRetries().GetValue() != 4 || got.GetRetryBudget() != nil {
			t.Errorf("got %v, want 1 2 3 4, and no budget", got)
		}
	}
}

// TestRetryBudget: Envoy keeps either bound on retries, so only one is said.
func TestRetryBudget(t *testing.T) {
	half := 50.0
	for name, c := range map[string]struct {
		budget   config.RetryBudget
		percent  float64
		least    uint32
		interval time.Duration
	}{
		"left out": {config.RetryBudget{}, DefaultRetryPercent, DefaultMinRetryConcurrency, DefaultRetryInterval},
		"said":     {config.RetryBudget{Percent: &half, MinConcurrent: 7, Interval: config.Duration(time.Second)}, 50, 7, time.Second},
		"none":     {config.RetryBudget{Percent: new(float64)}, 0, DefaultMinRetryConcurrency, DefaultRetryInterval},
	} {
		got := Thresholds(&config.Connections{RetryBudget: &c.budget}, false).GetThresholds()[0]
		b := got.GetRetryBudget()
		if got.GetMaxRetries() != nil || b.GetBudgetPercent().GetValue() != c.percent ||
			b.GetMinRetryConcurrency().GetValue() != c.least || b.GetBudgetInterval().AsDuration() != c.interval {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// ejecting is what Envoy is told of every backend that has outlier detection, with
// changes.
func ejecting(change func(*clusterv3.OutlierDetection)) *clusterv3.OutlierDetection {
	o := &clusterv3.OutlierDetection{
		Consecutive_5Xx:    wrapperspb.UInt32(5),
		Interval:           durationpb.New(10 * time.Second),
		BaseEjectionTime:   durationpb.New(30 * time.Second),
		MaxEjectionPercent: wrapperspb.UInt32(10),
		AlwaysEjectOneHost: wrapperspb.Bool(true),

		EnforcingConsecutive_5Xx:           wrapperspb.UInt32(100),
		EnforcingSuccessRate:               wrapperspb.UInt32(0),
		EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(0),
	}
	if change != nil {
		change(o)
	}
	return o
}

// TestOutlierDetection: what the config says ejects, and no other rule.
func TestOutlierDetection(t *testing.T) {
	if OutlierDetection(nil) != nil {
		t.Error("a backend that asks for no outlier detection got one")
	}
	u := wrapperspb.UInt32
	for name, c := range map[string]struct {
		said   config.OutlierDetection
		change func(*clusterv3.OutlierDetection)
	}{
		"zero": {config.OutlierDetection{}, nil},
		"numbers and times": {
			config.OutlierDetection{Consecutive5xx: 7, BaseEjectionTime: config.Duration(time.Minute), MaxEjectionTime: config.Duration(time.Hour), Jitter: config.Duration(time.Second), MaxEjectionPercent: 50},
			func(o *clusterv3.OutlierDetection) {
				o.Consecutive_5Xx, o.BaseEjectionTime, o.MaxEjectionPercent = u(7), durationpb.New(time.Minute), u(50)
				o.MaxEjectionTime, o.MaxEjectionTimeJitter = durationpb.New(time.Hour), durationpb.New(time.Second)
			},
		},
		"longer than Envoy's longest": {
			config.OutlierDetection{BaseEjectionTime: config.Duration(time.Hour)},
			func(o *clusterv3.OutlierDetection) {
				o.BaseEjectionTime, o.MaxEjectionTime = durationpb.New(time.Hour), durationpb.New(time.Hour)
			},
		},
		"gateway errors": {
			config.OutlierDetection{ConsecutiveGatewayErrors: 3},
			func(o *clusterv3.OutlierDetection) {
				o.ConsecutiveGatewayFailure, o.EnforcingConsecutiveGatewayFailure = u(3), u(100)
			},
		},
		"local errors": {
			config.OutlierDetection{ConsecutiveLocalErrors: 2, FailurePercentage: &config.FailurePercentage{}, SuccessRate: &config.SuccessRate{Deviations: 2.5, MinEndpoints: 3, MinRequests: 10}},
			func(o *clusterv3.OutlierDetection) {
				o.SplitExternalLocalOriginErrors = true
				o.ConsecutiveLocalOriginFailure, o.EnforcingConsecutiveLocalOriginFailure = u(2), u(100)
				o.EnforcingFailurePercentage, o.EnforcingFailurePercentageLocalOrigin = u(100), u(100)
				o.FailurePercentageThreshold, o.FailurePercentageMinimumHosts, o.FailurePercentageRequestVolume = u(85), u(5), u(50)
				o.EnforcingSuccessRate, o.EnforcingLocalOriginSuccessRate = u(100), u(100)
				o.SuccessRateStdevFactor, o.SuccessRateMinimumHosts, o.SuccessRateRequestVolume = u(2500), u(3), u(10)
			},
		},
		"local errors alone": {
			config.OutlierDetection{ConsecutiveLocalErrors: 2},
			func(o *clusterv3.OutlierDetection) {
				o.SplitExternalLocalOriginErrors = true
				o.ConsecutiveLocalOriginFailure, o.EnforcingConsecutiveLocalOriginFailure = u(2), u(100)
				o.EnforcingLocalOriginSuccessRate = u(0)
			},
		},
	} {
		if got, want := OutlierDetection(&c.said), ejecting(c.change); !proto.Equal(got, want) {
			t.Errorf("%s: got  %v\nwant %v", name, got, want)
		}
	}
}

func TestAdaptiveConcurrency(t *testing.T) {
	none := 0.0
	for name, c := range map[string]struct {
		said              config.AdaptiveConcurrency
		percentile        float64
		most, least       uint32
		interval, measure time.Duration
		requests          uint32
		tolerance         float64
	}{
		"zero": {config.AdaptiveConcurrency{}, 90, 1000, 3, 100 * time.Millisecond, time.Minute, 50, 25},
		"said": {
			config.AdaptiveConcurrency{Max: 20, Min: 5, Percentile: 99.9, Interval: config.Duration(time.Second), MeasureEvery: config.Duration(time.Hour), MeasureRequests: 7, Tolerance: &none},
			99.9, 20, 5, time.Second, time.Hour, 7, 0,
		},
	} {
		f := AdaptiveConcurrency(&c.said)
		if err := f.ValidateAll(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		g := f.GetGradientControllerConfig()
		limit, measure := g.GetConcurrencyLimitParams(), g.GetMinRttCalcParams()
		if g.GetSampleAggregatePercentile().GetValue() != c.percentile || limit.GetMaxConcurrencyLimit().GetValue() != c.most ||
			limit.GetConcurrencyUpdateInterval().AsDuration() != c.interval || measure.GetMinConcurrency().GetValue() != c.least ||
			measure.GetInterval().AsDuration() != c.measure || measure.GetRequestCount().GetValue() != c.requests || measure.GetBuffer().GetValue() != c.tolerance {
			t.Errorf("%s: %v", name, f)
		}
	}
}
