package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// What is held of a client's connection, and of a stream of HTTP/2 or HTTP/3, after
// Envoy's edge best practices
// (https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge).
// What else bounds a listener is in bounds.go.
const (
	listenerBufferLimit   = 32 << 10
	http2StreamWindow     = 64 << 10
	http2ConnectionWindow = 1 << 20
)

// listener is Envoy's listener for one of ours.
func (b builder) listener(l *config.Listener) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:                          l.Name,
		Address:                       socketAddress(l.Address),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(listenerBufferLimit),
		ListenerFilters:               listenerFilters(l),
		ListenerFiltersTimeout:        listenerFiltersTimeout(l),
		FilterChains:                  b.filterChains(l),
	}
}

// filterChains are those of a listener: one for each kind of peer, of whom other
// things are believed (proxies.go).
func (b builder) filterChains(l *config.Listener) []*listenerv3.FilterChain {
	out := challengeChains(l)
	for _, p := range b.peers(l) {
		out = append(out, &listenerv3.FilterChain{
			Name:             p.name,
			FilterChainMatch: p.match,
			TransportSocket:  transportSocket(l),
			Filters: append(connectionLimit(l), &listenerv3.Filter{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: mustAny(b.connectionManager(l, p))},
			}),
		})
	}
	return out
}

// connectionManager is the HTTP side of a listener. The first block makes the
// judge, the routes, the logs and the backend see one and the same path and
// host: each line closes a bypass that envoy-facts measured open.
func (b builder) connectionManager(l *config.Listener, p peerKind) *hcmv3.HttpConnectionManager {
	m := &hcmv3.HttpConnectionManager{
		StatPrefix: l.Name,

		NormalizePath:                wrapperspb.Bool(true),
		MergeSlashes:                 true,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_REJECT_REQUEST,
		StripPortMode:                &hcmv3.HttpConnectionManager_StripAnyHostPort{StripAnyHostPort: true},
		UseRemoteAddress:             wrapperspb.Bool(true),
		XffNumTrustedHops:            uint32(p.hops),
		InternalAddressConfig:        nobodyIsInternal(),

		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
		},
		HttpProtocolOptions: http1Options(l),
		Proxy_100Continue:   l.ForwardExpect,
		ServerName:          "gatewright",

		EarlyHeaderMutationExtensions: b.earlyHeaderMutations(l, p),
		HttpFilters:                   b.httpFilters(l, p),
		LocalReplyConfig:              b.localReplies(l),
		AccessLog:                     b.accessLogs(l),
		Tracing:                       b.tracing(p),
	}
	bound(m, l.Bound())
	forwardClientCertificate(m, l)
	believeNetworks(m, p)
	tellAnswers(m, l)
	if l.RedirectToHTTPS != nil {
		b.redirectsToHTTPS(m, l)
	} else if b.form == Scoped {
		m.RouteSpecifier = scopedRoutes()
	} else {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource:    adsSource(),
			RouteConfigName: routeConfigName(placementOf(l)),
		}}
	}
	return m
}

// nobodyIsInternal has Envoy believe nobody's x-envoy-* headers, on whatever
// network they are: it believes those of "internal" clients, which by default
// are all of the private ranges (CVE-2024-45806). An empty list would mean the
// default, so it names one address that no client can have.
func nobodyIsInternal() *hcmv3.HttpConnectionManager_InternalAddressConfig {
	return &hcmv3.HttpConnectionManager_InternalAddressConfig{
		CidrRanges: []*corev3.CidrRange{{AddressPrefix: "255.255.255.255", PrefixLen: wrapperspb.UInt32(32)}},
	}
}

// http1Options are those of HTTP/1.1; Envoy's own need no word.
func http1Options(l *config.Listener) *corev3.Http1ProtocolOptions {
	if !l.Trailers {
		return nil
	}
	return &corev3.Http1ProtocolOptions{EnableTrailers: true}
}

func http2Options(maxStreams int) *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		MaxConcurrentStreams:        wrapperspb.UInt32(uint32(maxStreams)),
		InitialStreamWindowSize:     wrapperspb.UInt32(http2StreamWindow),
		InitialConnectionWindowSize: wrapperspb.UInt32(http2ConnectionWindow),
	}
}
