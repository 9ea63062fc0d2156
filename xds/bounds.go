package xds

import (
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	bodylimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/body_size_limit/v3"
	connectionlimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// bound has a listener keep its bounds. They are the listener's own and no route's, so
// that no request is without them while routes and listeners reach an Envoy one after
// the other. Where Envoy's default is ours, no word is said.
func bound(m *hcmv3.HttpConnectionManager, b config.Bounds) {
	common := m.CommonHttpProtocolOptions
	common.IdleTimeout = durationpb.New(time.Duration(b.IdleTimeout))
	common.MaxConnectionDuration = durationOrNil(b.MaxConnectionDuration)
	if b.MaxHeaders != config.DefaultMaxHeaders {
		common.MaxHeadersCount = wrapperspb.UInt32(uint32(b.MaxHeaders))
	}
	if b.MaxHeaderBytes != config.DefaultMaxHeaderBytes {
		m.MaxRequestHeadersKb = wrapperspb.UInt32(uint32(b.MaxHeaderBytes >> 10))
	}
	if b.MaxRequestsPerConnection > 0 {
		common.MaxRequestsPerConnection = wrapperspb.UInt32(uint32(b.MaxRequestsPerConnection))
	}
	m.Http2ProtocolOptions = http2Options(b.MaxStreams)
	m.RequestHeadersTimeout = durationpb.New(time.Duration(b.HeadersTimeout))
	m.RequestTimeout = durationOrNil(b.RequestTimeout)
	m.StreamIdleTimeout = durationpb.New(time.Duration(b.StreamIdleTimeout))
}

// bodyBoundFilter is the name of the filter that bounds bodies.
const bodyBoundFilter = "envoy.filters.http.body_size_limit"

// bodyBound bounds the bodies of a listener's requests, where it says so. Nothing is
// held for it: what announces too much is refused at once, and of what announces
// nothing the bytes are counted as they pass.
func bodyBound(l *config.Listener) []*hcmv3.HttpFilter {
	most := l.Bound().MaxBodyBytes
	if most == 0 {
		return nil
	}
	return []*hcmv3.HttpFilter{httpFilter(bodyBoundFilter, &bodylimitv3.BodySizeLimit{MaxRequestBytes: wrapperspb.UInt64(uint64(most))})}
}

// refusedConnectionStays is how long a connection that is one too many is kept, unread,
// before it is closed: who comes back at once is not served any sooner.
const refusedConnectionStays = time.Second

// connectionLimit bounds the connections to a listener, where it says so. It stands
// before all that reads of a connection.
func connectionLimit(l *config.Listener) []*listenerv3.Filter {
	most := l.Bound().MaxConnections
	if most == 0 {
		return nil
	}
	return []*listenerv3.Filter{{
		Name: "envoy.filters.network.connection_limit",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: mustAny(&connectionlimitv3.ConnectionLimit{
			StatPrefix:     l.Name,
			MaxConnections: wrapperspb.UInt64(uint64(most)),
			Delay:          durationpb.New(refusedConnectionStays),
		})},
	}}
}
