package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"

	"github.com/gatewright/gatewright/config"
)

// behindProxyHeader puts a header of the PROXY protocol in front of all else on a
// connection to a backend; none where no version is said. Envoy then keeps a connection
// for each address that it names: requests of two clients never share one.
func behindProxyHeader(version config.ProxyProtocolVersion, inner *corev3.TransportSocket) *corev3.TransportSocket {
	if version == "" {
		return inner
	}
	if inner == nil {
		inner = &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.raw_buffer",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: mustAny(&rawbufferv3.RawBuffer{})},
		}
	}
	said := corev3.ProxyProtocolConfig_V1
	if version == config.ProxyProtocolV2 {
		said = corev3.ProxyProtocolConfig_V2
	}
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.upstream_proxy_protocol",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: mustAny(&proxyprotocolv3.ProxyProtocolUpstreamTransport{
			Config:          &corev3.ProxyProtocolConfig{Version: said},
			TransportSocket: inner,
		})},
	}
}
