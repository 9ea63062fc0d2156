package breakerpolicy

import (
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

func TestThresholdsDefaults(t *testing.T) {
	for name, c := range map[string]*config.Connections{"nil": nil, "zero": {}} {
		got := Thresholds(c).GetThresholds()[0]
		if got.GetMaxConnections().GetValue() != DefaultMaxConnections ||
			got.GetMaxPendingRequests().GetValue() != DefaultMaxPending ||
			got.GetMaxRequests().GetValue() != DefaultMaxRequests ||
			got.GetMaxRetries().GetValue() != DefaultMaxRetries {
			t.Errorf("%s: %v, want the documented defaults", name, got)
		}
	}
}

func TestThresholdsSaid(t *testing.T) {
	got := Thresholds(&config.Connections{Max: 1, MaxPending: 2, MaxRequests: 3, MaxRetries: 4}).GetThresholds()[0]
	if got.GetMaxConnections().GetValue() != 1 || got.GetMaxPendingRequests().GetValue() != 2 ||
		got.GetMaxRequests().GetValue() != 3 || got.GetMaxRetries().GetValue() != 4 {
		t.Errorf("got %v, want 1 2 3 4", got)
	}
}

// TestRetryBudget: Envoy keeps either bound on retries, so only one is said.
func TestRetryBudget(t *testing.T) {
	half := 50.0
	for name, c := range map[string]struct {
		budget  config.RetryBudget
		percent float64
		least   uint32
	}{
		"left out": {config.RetryBudget{}, DefaultRetryPercent, DefaultMinRetryConcurrency},
		"said":     {config.RetryBudget{Percent: &half, MinConcurrent: 7}, 50, 7},
		"none":     {config.RetryBudget{Percent: new(float64)}, 0, DefaultMinRetryConcurrency},
	} {
		got := Thresholds(&config.Connections{RetryBudget: &c.budget}).GetThresholds()[0]
		b := got.GetRetryBudget()
		if got.GetMaxRetries() != nil || b.GetBudgetPercent().GetValue() != c.percent || b.GetMinRetryConcurrency().GetValue() != c.least {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOutlierDetection(t *testing.T) {
	if OutlierDetection(nil) != nil {
		t.Error("a backend that asks for no outlier detection got one")
	}
	got := OutlierDetection(&config.OutlierDetection{Consecutive5xx: 7, BaseEjectionTime: config.Duration(time.Minute)})
	if got.GetConsecutive_5Xx().GetValue() != 7 || got.GetBaseEjectionTime().AsDuration() != time.Minute ||
		got.GetInterval().AsDuration() != 10*time.Second || got.GetMaxEjectionPercent().GetValue() != 10 {
		t.Errorf("got %v", got)
	}
	if got.GetEnforcingSuccessRate().GetValue() != 0 || got.GetEnforcingConsecutiveGatewayFailure().GetValue() != 0 {
		t.Error("a rule that nobody wrote would eject")
	}
}
