package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	filterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	setfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"

	"github.com/gatewright/gatewright/config"
)

// Who the caller is, Check knows, and Envoy picks the endpoint. So Check tells it, in
// metadata, a filter of the route's puts that where the backend's cluster hashes it,
// and no header says it that a backend could see or a client send. Where it is not
// there, as while the route has it yet and the cluster not, or the other way round, the
// next part counts, or chance.

// callerHash is that filter; none where no backend of the route is hashed by callers.
func (b builder) callerHash(r *config.Route) []*corev3.TypedExtensionConfig {
	var states []*filterstatev3.FilterStateValue
	for _, told := range b.config.HashedByCaller(r) {
		state := filterState(callerHashState(told), "%DYNAMIC_METADATA("+extAuthzFilter+":"+metadataTold+":"+told+")%")
		state.FactoryKey = "envoy.hashable_string"
		state.GetFormatString().OmitEmptyValues = true
		state.SkipIfEmpty = true
		states = append(states, state)
	}
	if states == nil {
		return nil
	}
	return []*corev3.TypedExtensionConfig{extension("caller_hash", &setfilterstatev3.Config{OnRequestHeaders: states})}
}

// callerHashState is where what is told of the caller is kept for the hash.
func callerHashState(told string) string { return "gatewright.hash." + told }

// hashOfCaller hashes it, and ends there where the request has it.
func hashOfCaller(told string) *routev3.RouteAction_HashPolicy {
	return &routev3.RouteAction_HashPolicy{Terminal: true, PolicySpecifier: &routev3.RouteAction_HashPolicy_FilterState_{
		FilterState: &routev3.RouteAction_HashPolicy_FilterState{Key: callerHashState(told)},
	}}
}
