package xds

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// upgrades are the protocols that requests of a route may switch to. Their
// requests meet the filters that all others meet, the judge among them; on
// routes without any, and on listeners, no upgrade is on.
//
// A route's timeout does not bound them: Envoy counts it from the end of the
// request, which an upgraded one has only when the client goes.
func upgrades(tokens []string) []*routev3.RouteAction_UpgradeConfig {
	var out []*routev3.RouteAction_UpgradeConfig
	for _, token := range tokens {
		out = append(out, &routev3.RouteAction_UpgradeConfig{UpgradeType: token, Enabled: wrapperspb.Bool(true)})
	}
	return out
}
