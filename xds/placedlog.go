package xds

import (
	"maps"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// letPass is the line of a request that was let pass inside Envoy: what a verdict would
// have said of it.
func (b builder) letPass(line map[string]string) map[string]string {
	out := maps.Clone(line)
	out["reason"] = placeAllows
	out["user"], out["tenant"] = "%FILTER_STATE("+callerUserState+":PLAIN)%", "%FILTER_STATE("+callerTenantState+":PLAIN)%"
	out["config"] = "%FILTER_STATE(" + configState + ":PLAIN)%"
	out["policy"] = "%METADATA(ROUTE:" + routeMetadata + ":" + metadataPlace + ")%"
	b.logCertificates(out)
	return out
}

// wasLetPass is a request that was let pass inside Envoy, or one that was not.
func wasLetPass(yes bool) *accesslogv3.AccessLogFilter {
	m := metadataMatcher(exactValue(placeAllows), rbacMetadata, placeResult)
	if !yes {
		m = metadataMatcher(exactValue("denied"), rbacMetadata, placeResult)
	}
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{
		MetadataFilter: &accesslogv3.MetadataFilter{Matcher: m, MatchIfKeyNotFound: wrapperspb.Bool(!yes)},
	}}
}

// both are two filters of a log, of which the second may be none.
func both(a, b *accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	if b == nil {
		return a
	}
	return all(a, b)
}
