package xds

import (
	"slices"

	grpcwebv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/config"
)

// grpcWebFilter is the name of the filter that turns the calls of gRPC-Web into those
// of gRPC, and their trailers into the end of a body.
const grpcWebFilter = "envoy.filters.http.grpc_web"

// grpcWebFilters is the filter, where some route takes such calls. It is off but on
// those. It decides nothing, so it may come and go with the routes: a call that comes
// before it reaches a backend that knows no gRPC-Web.
func (b builder) grpcWebFilters() []*hcmv3.HttpFilter {
	if !slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool { return r.GRPCWeb }) {
		return nil
	}
	f := httpFilter(grpcWebFilter, &grpcwebv3.GrpcWeb{})
	f.Disabled = true
	return []*hcmv3.HttpFilter{f}
}

// underGRPCWeb switches the filter on where the route says so.
func underGRPCWeb(settings map[string]*anypb.Any, r *config.Route) {
	if r.GRPCWeb {
		settings[grpcWebFilter] = switchedOn
	}
}
