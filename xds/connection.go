package xds

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

const (
	connectTimeout = 2 * time.Second
	// clusterBufferLimit bounds what is buffered for a connection to a backend,
	// as Envoy's edge best practices advise (its own default is 1 MiB).
	clusterBufferLimit = 32 << 10
	// pingTimeout is how long the answer to a ping of HTTP/2 may take.
	pingTimeout = 5 * time.Second
)

// connecting says how connections to a backend are made and kept.
func connecting(c *clusterv3.Cluster, n *config.Connections) {
	if n == nil {
		n = &config.Connections{}
	}
	c.ConnectTimeout = durationpb.New(n.ConnectTimeout.Or(connectTimeout))
	c.PerConnectionBufferLimitBytes = wrapperspb.UInt32(uint32(intOr(n.BufferBytes, clusterBufferLimit)))
	if n.Preconnect > 1 {
		c.PreconnectPolicy = &clusterv3.Cluster_PreconnectPolicy{PerUpstreamPreconnectRatio: wrapperspb.Double(n.Preconnect)}
	}
	if n.SourceAddress != "" {
		c.UpstreamBindConfig = &corev3.BindConfig{SourceAddress: &corev3.SocketAddress{
			Address: n.SourceAddress, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 0},
		}}
	}
	if k := n.TCPKeepalive; k != nil {
		c.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
			KeepaliveProbes:   uint32OrNil(k.Probes),
			KeepaliveTime:     seconds(k.Time),
			KeepaliveInterval: seconds(k.Interval),
		}}
	}
}

// seconds is a time in whole seconds, or nothing where it is 0.
func seconds(d config.Duration) *wrapperspb.UInt32Value {
	return uint32OrNil(int(time.Duration(d) / time.Second))
}

// protocolOptions are the options of a backend that speaks HTTP/2 without asking, whose
// connections do not last as long as by default, or that has filters of its own; for all
// others, none are needed.
func protocolOptions(backend *config.Backend, filters []*hcmv3.HttpFilter) map[string]*anypb.Any {
	common := ofEachConnection(backend.Connections)
	if common == nil && len(filters) == 0 && !backend.SpeaksHTTP2() && !backend.Trailers {
		return nil
	}
	return map[string]*anypb.Any{
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": mustAny(&upstreamhttpv3.HttpProtocolOptions{
			CommonHttpProtocolOptions: common,
			UpstreamProtocolOptions:   &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: spoken(backend)},
			HttpFilters:               filters,
		}),
	}
}

// spoken is the one protocol of a backend.
func spoken(backend *config.Backend) *upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig {
	if backend.SpeaksHTTP2() {
		return &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: upstreamHTTP2(backend.Connections)},
		}
	}
	return &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{EnableTrailers: backend.Trailers}},
	}
}

// ofEachConnection is how long a connection lasts, or nothing where that is Envoy's
// default.
func ofEachConnection(n *config.Connections) *corev3.HttpProtocolOptions {
	if n == nil || n.IdleTimeout == 0 && n.MaxLifetime == 0 && n.MaxRequestsPerConnection == 0 {
		return nil
	}
	return &corev3.HttpProtocolOptions{
		IdleTimeout:              durationOrNil(n.IdleTimeout),
		MaxConnectionDuration:    durationOrNil(n.MaxLifetime),
		MaxRequestsPerConnection: uint32OrNil(n.MaxRequestsPerConnection),
	}
}

// upstreamHTTP2 are the settings of HTTP/2: those of clients' connections, unless the
// backend says otherwise.
func upstreamHTTP2(n *config.Connections) *corev3.Http2ProtocolOptions {
	out := http2Options(config.DefaultMaxStreams)
	if n == nil || n.HTTP2 == nil {
		return out
	}
	h := n.HTTP2
	override(&out.MaxConcurrentStreams, h.MaxConcurrentStreams)
	override(&out.InitialStreamWindowSize, h.StreamWindow)
	override(&out.InitialConnectionWindowSize, h.ConnectionWindow)
	if h.PingInterval != 0 {
		out.ConnectionKeepalive = &corev3.KeepaliveSettings{
			Interval: durationOrNil(h.PingInterval),
			Timeout:  durationpb.New(h.PingTimeout.Or(pingTimeout)),
		}
	}
	return out
}

func override(field **wrapperspb.UInt32Value, n int) {
	if n != 0 {
		*field = wrapperspb.UInt32(uint32(n))
	}
}
