package xds

import (
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatewright/gatewright/config"
)

// listenerFilters read what stands before a connection's own bytes, before its
// filter chain is chosen; and then the name that a handshake asks for, where it is
// looked at (misdirected.go).
func listenerFilters(l *config.Listener) []*listenerv3.ListenerFilter {
	var out []*listenerv3.ListenerFilter
	if l.ProxyProtocol != nil {
		// From where a header is believed is for the filter chains to say (proxies.go):
		// a connection from elsewhere has none.
		out = append(out, listenerFilter("envoy.filters.listener.proxy_protocol", &proxyprotocolv3.ProxyProtocol{
			AllowRequestsWithoutProxyProtocol: l.ProxyProtocol.Optional,
		}))
	}
	if looksForMisdirected(l) || len(challengesOf(l)) > 0 {
		out = append(out, listenerFilter("envoy.filters.listener.tls_inspector", &tlsinspectorv3.TlsInspector{}))
	}
	return out
}

// listenerFiltersTimeout bounds how long they wait for their bytes, as long as for
// the headers of a request.
func listenerFiltersTimeout(l *config.Listener) *durationpb.Duration {
	if len(listenerFilters(l)) == 0 {
		return nil
	}
	return durationpb.New(time.Duration(l.Bound().HeadersTimeout))
}

func listenerFilter(name string, m proto.Message) *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{
		Name:       name,
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: mustAny(m)},
	}
}
