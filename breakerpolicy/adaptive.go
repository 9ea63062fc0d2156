package breakerpolicy

import (
	"cmp"
	"time"

	adaptivev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/adaptive_concurrency/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// How the bound on requests at once is found where the config says nothing. The tenth
// slowest of a hundred, and not the middle: a backend that has too much to do serves
// some in time, and lets others wait. Envoy has no default for the times.
const (
	DefaultPercentile      = 90
	DefaultConcurrencyStep = 100 * time.Millisecond
	DefaultMeasureEvery    = time.Minute
	DefaultMeasureRequests = 50
	DefaultTolerance       = 25
)

// AdaptiveConcurrency is the filter of Envoy's that finds out how many requests at
// once a backend serves well.
// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/adaptive_concurrency_filter
func AdaptiveConcurrency(a *config.AdaptiveConcurrency) *adaptivev3.AdaptiveConcurrency {
	tolerance := float64(DefaultTolerance)
	if a.Tolerance != nil {
		tolerance = *a.Tolerance
	}
	least := wrapperspb.UInt32(uint32(a.LeastConcurrency()))
	return &adaptivev3.AdaptiveConcurrency{
		ConcurrencyControllerConfig: &adaptivev3.AdaptiveConcurrency_GradientControllerConfig{
			GradientControllerConfig: &adaptivev3.GradientControllerConfig{
				SampleAggregatePercentile: &typev3.Percent{Value: cmp.Or(a.Percentile, DefaultPercentile)},
				ConcurrencyLimitParams: &adaptivev3.GradientControllerConfig_ConcurrencyLimitCalculationParams{
					MaxConcurrencyLimit:       wrapperspb.UInt32(uint32(a.MostConcurrency())),
					ConcurrencyUpdateInterval: durationpb.New(a.Interval.Or(DefaultConcurrencyStep)),
				},
				MinRttCalcParams: &adaptivev3.GradientControllerConfig_MinimumRTTCalculationParams{
					Interval:       durationpb.New(a.MeasureEvery.Or(DefaultMeasureEvery)),
					RequestCount:   uint32Or(a.MeasureRequests, DefaultMeasureRequests),
					MinConcurrency: least,
					Buffer:         &typev3.Percent{Value: tolerance},
				},
			},
		},
	}
}
