package xds

import (
	_ "embed"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/gatewright/gatewright/config"
)

// In the form Scoped, a request finds its table by a header that the listener
// sets: the placement of its limits and the request's host. Envoy looks for the
// exact text. Where there is no such scope, a filter writes the host in small
// letters, and if there is none either, asks for the table of all other hosts.

// scopeHeader is that header. It is overwritten on every request before
// anything reads it, and taken away before a backend sees it.
const scopeHeader = "x-gatewright-scope"

const scopeFilter = "envoy.filters.http.lua"

//go:embed scope.lua
var scopeScript string

// scopeName is the name of a scope, of its table, and the text that finds it.
func scopeName(p config.RateLimitPlacement, domain string) string {
	return routeConfigName(p) + "/" + domain
}

// scope is how requests find a table.
func scope(t *table) *routev3.ScopedRouteConfiguration {
	return &routev3.ScopedRouteConfiguration{
		Name:                   t.name,
		RouteConfigurationName: t.name,
		Key: &routev3.ScopedRouteConfiguration_Key{Fragments: []*routev3.ScopedRouteConfiguration_Key_Fragment{{
			Type: &routev3.ScopedRouteConfiguration_Key_Fragment_StringKey{StringKey: t.name},
		}}},
	}
}

// scopedRoutes has a listener find its tables by scopeHeader.
func scopedRoutes() *hcmv3.HttpConnectionManager_ScopedRoutes {
	return &hcmv3.HttpConnectionManager_ScopedRoutes{ScopedRoutes: &hcmv3.ScopedRoutes{
		Name: "routes",
		ScopeKeyBuilder: &hcmv3.ScopedRoutes_ScopeKeyBuilder{Fragments: []*hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder{{
			Type: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_{
				HeaderValueExtractor: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor{
					Name:        scopeHeader,
					ExtractType: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_Index{Index: 0},
				},
			},
		}}},
		RdsConfigSource: adsSource(),
		ConfigSpecifier: &hcmv3.ScopedRoutes_ScopedRds{ScopedRds: &hcmv3.ScopedRds{ScopedRdsConfigSource: adsSource()}},
	}}
}

// setScope sets scopeHeader, before a route is looked for.
func setScope(p config.RateLimitPlacement) *mutationv3.HeaderMutation {
	return setEarly(scopeHeader, scopeName(p, "%REQ(:AUTHORITY)%"))
}

// otherScope is the filter that looks again.
func otherScope() *hcmv3.HttpFilter {
	return httpFilter(scopeFilter, &luav3.Lua{DefaultSourceCode: &corev3.DataSource{
		Specifier: &corev3.DataSource_InlineString{InlineString: scopeScript},
	}})
}
