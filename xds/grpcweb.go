package xds

import (
	_ "embed"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	grpcwebv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/config"
)

// grpcWebFilter is the name of the filter that turns the calls of gRPC-Web into those
// of gRPC, and their trailers into the end of a body.
const grpcWebFilter = "envoy.filters.http.grpc_web"

// grpcWebStatusFilter has the answers that are none of gRPC say so by its status, and
// not by HTTP's: a client of gRPC-Web reads grpc-status where the status is 200, and
// guesses by the status otherwise, so that a limit that is used up (429) would be
// UNAVAILABLE to it, and be tried again at once.
const grpcWebStatusFilter = "gatewright.grpc_web_status"

//go:embed grpcweb.lua
var grpcWebStatusScript string

// grpcWebFilters are the filters, where some route takes such calls. They are off but
// on those. They decide nothing, so they may come and go with the routes: a call that
// comes before them reaches a backend that knows no gRPC-Web. Answers meet them in the
// other order: the one that sees to the status has to see what is made of them.
func (b builder) grpcWebFilters() []*hcmv3.HttpFilter {
	if !slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool { return r.GRPCWeb }) {
		return nil
	}
	return []*hcmv3.HttpFilter{
		disabled(httpFilter(grpcWebStatusFilter, &luav3.Lua{DefaultSourceCode: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: grpcWebStatusScript},
		}})),
		disabled(httpFilter(grpcWebFilter, &grpcwebv3.GrpcWeb{})),
	}
}

// underGRPCWeb switches the filters on where the route says so.
func underGRPCWeb(settings map[string]*anypb.Any, r *config.Route) {
	if r.GRPCWeb {
		settings[grpcWebStatusFilter], settings[grpcWebFilter] = switchedOn, switchedOn
	}
}
