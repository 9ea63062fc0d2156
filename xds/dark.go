package xds

import (
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// Envoy tells nobody how a copy of a request ended: it has no access log. So the
// copies for a canary that is judged by them take a second hop inside the same Envoy,
// through a listener that only Envoy itself can reach, where they are requests like
// any other. (An Envoy needs the internal listener extension for that, which our
// bootstrap has.)

// addDark adds that hop for each route with a dark canary.
func (b builder) addDark(s *set) {
	for _, r := range b.config.Routes {
		canary := r.DarkCanary()
		if canary == "" {
			continue
		}
		name := config.DarkName(r.Name)
		s.put(resource.ClusterType, newResource(resource.ClusterType, name, darkCluster(name, b.config.Backends[canary]), nil))
		s.put(resource.ListenerType, newResource(resource.ListenerType, name, b.darkListener(name, r, canary), nil, id{resource.ClusterType, canary}))
	}
}

// darkCluster leads to the listener of the same name. It speaks to it as the canary
// is spoken to.
func darkCluster(name string, canary *config.Backend) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                          name,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:                durationpb.New(connectTimeout),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(clusterBufferLimit),
		TypedExtensionProtocolOptions: protocolOptions(&config.Backend{Protocol: canary.Protocol, Trailers: canary.Trailers}, nil),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
					Address: &corev3.Address{Address: &corev3.Address_EnvoyInternalAddress{EnvoyInternalAddress: &corev3.EnvoyInternalAddress{
						AddressNameSpecifier: &corev3.EnvoyInternalAddress_ServerListenerName{ServerListenerName: name},
					}}},
				}},
			}}}},
		},
	}
}

// darkListener passes what comes on to the canary as it is, and logs how it ended.
func (b builder) darkListener(name string, r *config.Route, canary string) *listenerv3.Listener {
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix:                 name,
		SkipXffAppend:              true,
		GenerateRequestId:          wrapperspb.Bool(false),
		PreserveExternalRequestId:  true,
		ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,
		InternalAddressConfig:      nobodyIsInternal(),
		CommonHttpProtocolOptions:  &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(config.DefaultIdleTimeout)},
		Http2ProtocolOptions:       http2Options(config.DefaultMaxStreams),
		HttpFilters:                []*hcmv3.HttpFilter{httpFilter(routerFilter, &routerv3.Router{SuppressEnvoyHeaders: true})},
		AccessLog:                  []*accesslogv3.AccessLog{accessLog("envoy.access_loggers.http_grpc", b.outcomeLog(name))},
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: name,
			VirtualHosts: []*routev3.VirtualHost{{Name: name, Domains: []string{"*"}, Routes: []*routev3.Route{{
				Name:  name,
				Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: ""}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: canary},
					Timeout:          durationpb.New(sooner(r.Times().Whole)),
					IdleTimeout:      idle(r),
					RetryPolicy:      beginsWithin(sooner(r.Times().Begin)),
				}},
			}}}},
		}},
	}
	return &listenerv3.Listener{
		Name:                          name,
		ListenerSpecifier:             &listenerv3.Listener_InternalListener{InternalListener: &listenerv3.Listener_InternalListenerConfig{}},
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(listenerBufferLimit),
		IgnoreGlobalConnLimit:         true,
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: mustAny(manager)},
		}}}},
	}
}

// sooner is a time somewhat shorter than the route's, by which the copy is given up: or
// it would look as if a client had left a canary that does not answer.
func sooner(time time.Duration) time.Duration { return time - time/20 }
