package xds

import (
	"slices"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// retryPolicy repeats what failed, on another endpoint where there is one.
// Without any attempts it only bounds the first. Each attempt ends where its answer
// has not begun within a time; 0 is none.
func retryPolicy(r *config.Retry, begin time.Duration) *routev3.RetryPolicy {
	if r == nil {
		return beginsWithin(begin)
	}
	if r.PerTryTimeout > 0 {
		begin = time.Duration(r.PerTryTimeout)
	}
	if r.Attempts == 0 {
		return beginsWithin(begin)
	}
	p := &routev3.RetryPolicy{
		RetryOn:              strings.Join(retryOn(r), ","),
		RetriableStatusCodes: statusCodes(r.Codes),
		NumRetries:           wrapperspb.UInt32(uint32(r.Attempts)),
		PerTryTimeout:        durationOrNil(config.Duration(begin)),
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{
			Name: "envoy.retry_host_predicates.previous_hosts",
			ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{
				TypedConfig: mustAny(previousHosts()),
			},
		}},
		HostSelectionRetryMaxAttempts: 3,
	}
	backoff := r.Backoff
	if backoff == nil {
		backoff = &config.Backoff{}
	}
	p.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{
		BaseInterval: durationpb.New(backoff.FirstWait()),
		MaxInterval:  durationpb.New(backoff.LongestWait()),
	}
	p.RateLimitedRetryBackOff = retryAfter(backoff.RetryAfter)
	return p
}

// beginsWithin bounds the only attempt, until its answer begins. 0 does not.
func beginsWithin(begin time.Duration) *routev3.RetryPolicy {
	if begin == 0 {
		return nil
	}
	return &routev3.RetryPolicy{NumRetries: wrapperspb.UInt32(0), PerTryTimeout: durationpb.New(begin)}
}

// retriedBackends are the names of the backends that some route asks again.
func retriedBackends(c *config.Config) map[string]bool {
	out := map[string]bool{}
	for _, r := range c.Routes {
		if r.Retry == nil || r.Retry.Attempts == 0 {
			continue
		}
		for _, to := range r.To {
			out[to.Backend] = true
		}
	}
	return out
}

// retryOn are the conditions of a retry. Where the config names none, only
// attempts are repeated that no backend has begun to serve; and beside either,
// those that ended with one of its codes.
func retryOn(r *config.Retry) []string {
	on := slices.Clone(r.On)
	if len(on) == 0 {
		on = []string{"connect-failure", "refused-stream", "unavailable"}
	}
	if len(r.Codes) > 0 {
		on = append(on, "retriable-status-codes")
	}
	return on
}

func statusCodes(statuses []int) []uint32 {
	var out []uint32
	for _, s := range statuses {
		out = append(out, uint32(s))
	}
	return out
}

// retryAfter has a backend say when to come again, up to a longest time.
func retryAfter(longest config.Duration) *routev3.RetryPolicy_RateLimitedRetryBackOff {
	if longest == 0 {
		return nil
	}
	return &routev3.RetryPolicy_RateLimitedRetryBackOff{
		ResetHeaders: []*routev3.RetryPolicy_ResetHeader{{Name: "Retry-After", Format: routev3.RetryPolicy_SECONDS}},
		MaxInterval:  durationOrNil(longest),
	}
}

// hedgePolicy sends what is slow again, and lets the first attempt go on.
func hedgePolicy(h *config.Hedge) *routev3.HedgePolicy {
	if h == nil {
		return nil
	}
	return &routev3.HedgePolicy{HedgeOnPerTryTimeout: true}
}
