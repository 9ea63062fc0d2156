package xds

import (
	"maps"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"

	"github.com/gatewright/gatewright/config"
)

// countedLine is a line with what a limit inside Envoy says of a request, where there is one
// on its route, or else what a verdict does.
func (b builder) countedLine(line map[string]string) map[string]string {
	out := maps.Clone(line)
	said := func(key string) []string { return []string{"DYNAMIC_METADATA", extAuthzFilter + ":" + key} }
	out["limit"] = firstOf(append(said("limit"), "METADATA", "ROUTE:"+routeMetadata+":"+metadataLimit)...)
	if words := b.config.RateLimitHeaders; words != config.HeadersNone {
		name := "RATELIMIT-REMAINING"
		if !words.IETF() {
			name = "X-" + name
		}
		out["remaining"] = firstOf(append(said("remaining"), "RESP", name)...)
	}
	return out
}

// limited is the line of a request that such a limit has denied.
func limited(line map[string]string) map[string]string {
	out := maps.Clone(line)
	out["reason"] = "rate-limited"
	return out
}

// wasLimited is a request that such a limit has denied, or one that none has.
func wasLimited(yes bool) *accesslogv3.AccessLogFilter {
	if yes {
		return detailed(limitedDetails)
	}
	return expression("!(response.code_details == '" + limitedDetails + "')")
}
