package xds

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// quicName is the name in Envoy of the listener by UDP beside one of ours. No listener
// of ours has a slash in its name.
func quicName(l *config.Listener) string { return l.Name + "/http3" }

// quicListener serves HTTP/3 at the address of a listener by UDP: with the same
// certificates, filters and routes. They are its own, so that what closes on the one
// does not on the other.
func (b builder) quicListener(l *config.Listener) *listenerv3.Listener {
	address, bounds := socketAddress(l.Address), l.Bound()
	address.GetSocketAddress().Protocol = corev3.SocketAddress_UDP
	out := &listenerv3.Listener{
		Name:                          quicName(l),
		Address:                       address,
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(listenerBufferLimit),
		UdpListenerConfig: &listenerv3.UdpListenerConfig{
			DownstreamSocketConfig: &corev3.UdpSocketConfig{PreferGro: wrapperspb.Bool(true)},
			QuicOptions: &listenerv3.QuicProtocolOptions{
				QuicProtocolOptions: &corev3.QuicProtocolOptions{
					MaxConcurrentStreams:        wrapperspb.UInt32(uint32(bounds.MaxStreams)),
					InitialStreamWindowSize:     wrapperspb.UInt32(http2StreamWindow),
					InitialConnectionWindowSize: wrapperspb.UInt32(http2ConnectionWindow),
				},
				CryptoHandshakeTimeout: durationpb.New(time.Duration(bounds.HeadersTimeout)),
			},
		},
	}
	for _, p := range b.peers(l) {
		m := b.connectionManager(l, p)
		m.CodecType = hcmv3.HttpConnectionManager_HTTP3
		m.HttpProtocolOptions, m.Http2ProtocolOptions = nil, nil
		m.Http3ProtocolOptions = &corev3.Http3ProtocolOptions{}
		out.FilterChains = append(out.FilterChains, &listenerv3.FilterChain{
			Name:             p.name,
			FilterChainMatch: p.match,
			TransportSocket:  quicSocket(l),
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: mustAny(m)},
			}},
		})
	}
	return out
}

// quicSocket is QUIC's TLS, which is 1.3. Requests in the first flight of a connection
// (0-RTT) are refused: who has heard one can send it again (RFC 8446, section 8).
func quicSocket(l *config.Listener) *corev3.TransportSocket {
	tls := downstreamTLS(l)
	tls.CommonTlsContext.AlpnProtocols = []string{"h3"}
	tls.CommonTlsContext.TlsParams = nil
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.quic",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: mustAny(&quicv3.QuicDownstreamTransport{
			DownstreamTlsContext: tls,
			EnableEarlyData:      wrapperspb.Bool(false),
		})},
	}
}
