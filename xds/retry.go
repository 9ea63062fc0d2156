package xds

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// retryPolicy repeats what failed, on another endpoint where there is one.
// Where the config names no conditions, only attempts are repeated that no
// backend has begun to serve. Without any attempts it only bounds the first.
func retryPolicy(r *config.Retry) *routev3.RetryPolicy {
	if r == nil {
		return nil
	}
	if r.Attempts == 0 {
		return &routev3.RetryPolicy{NumRetries: wrapperspb.UInt32(0), PerTryTimeout: durationOrNil(r.PerTryTimeout)}
	}
	on := r.On
	if len(on) == 0 {
		on = []string{"connect-failure", "refused-stream", "unavailable"}
	}
	p := &routev3.RetryPolicy{
		RetryOn:    strings.Join(on, ","),
		NumRetries: wrapperspb.UInt32(uint32(r.Attempts)),
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name: "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{
				TypedConfig: mustAny(previousHosts()),
			},
		}},
		HostSelectionRetryMaxAttempts: 3,
	}
	p.PerTryTimeout = durationOrNil(r.PerTryTimeout)
	return p
}
