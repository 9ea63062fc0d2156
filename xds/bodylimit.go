package xds

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	bodylimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/body_size_limit/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// bodyLimit ends a request whose body is longer than its route takes, by what it
// says of itself or by what comes. It keeps nothing back: what has come within the
// bound may have reached the backend.
func bodyLimit(r *config.Route) []*corev3.TypedExtensionConfig {
	if r.MaxBodyBytes == 0 {
		return nil
	}
	return []*corev3.TypedExtensionConfig{bodySize(r.MaxBodyBytes)}
}

func bodySize[N int | int64](most N) *corev3.TypedExtensionConfig {
	return extension("body_size_limit", &bodylimitv3.BodySizeLimit{MaxRequestBytes: wrapperspb.UInt64(uint64(most))})
}

// bodyTooLarge is what Envoy says of such a request.
const bodyTooLarge = "request_payload_too_large"

// limitsBodies tells whether some route has a bound, of its own or of what it
// validates or rewrites.
func (b builder) limitsBodies() bool {
	return slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool {
		return r.MaxBodyBytes > 0 || r.OpenAPI != nil || r.RewritesRequests()
	})
}
