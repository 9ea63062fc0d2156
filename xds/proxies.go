package xds

import (
	"net/netip"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	xffv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/original_ip_detection/xff/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// peerKind is a kind of those who connect to a listener: of which others, and what of
// their word is believed. Each has a filter chain.
type peerKind struct {
	name  string
	match *listenerv3.FilterChainMatch
	// hops is how many entries of X-Forwarded-For are believed, and networks are
	// those of whom it is believed in any number. One of them is empty.
	hops     int
	networks []netip.Prefix
}

// believed tells a peer whose headers of proxies go on.
func (p peerKind) believed() bool { return p.hops > 0 || len(p.networks) > 0 }

// peers are the kinds that a listener tells apart. A setting of Envoy's for the
// whole listener would believe the X-Forwarded-For of its proxies alone, and
// everybody's X-Forwarded-Proto, X-Real-IP and the like.
func (b builder) peers(l *config.Listener) []peerKind {
	networks := b.config.ProxiesOf(l)
	if len(networks) == 0 {
		return []peerKind{{match: connectedFrom(l, nil), hops: b.config.HopsOf(l)}}
	}
	return []peerKind{
		{name: "proxies", match: connectedFrom(l, networks), networks: networks},
		{name: "clients", match: connectedFrom(l, nil)},
	}
}

// connectedFrom is a match of who comes from the networks, by the address that a
// PROXY header says where there is one, and who has connected from those that may
// say it. No networks are all. It is nil where that is everybody.
func connectedFrom(l *config.Listener, networks []netip.Prefix) *listenerv3.FilterChainMatch {
	m := &listenerv3.FilterChainMatch{SourcePrefixRanges: ranges(networks)}
	if l.ProxyProtocol != nil {
		m.DirectSourcePrefixRanges = ranges(l.ProxyProtocol.Networks())
	}
	if len(m.SourcePrefixRanges)+len(m.DirectSourcePrefixRanges) == 0 {
		return nil
	}
	return m
}

func ranges(networks []netip.Prefix) []*corev3.CidrRange {
	var out []*corev3.CidrRange
	for _, n := range networks {
		out = append(out, &corev3.CidrRange{AddressPrefix: n.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(n.Bits()))})
	}
	return out
}

// believeNetworks has Envoy look in X-Forwarded-For for the last one who is not of
// the believed networks.
func believeNetworks(m *hcmv3.HttpConnectionManager, p peerKind) {
	if len(p.networks) == 0 {
		return
	}
	m.UseRemoteAddress = nil // Envoy takes one or the other
	m.OriginalIpDetectionExtensions = []*corev3.TypedExtensionConfig{{
		Name: "envoy.http.original_ip_detection.xff",
		TypedConfig: mustAny(&xffv3.XffConfig{
			XffTrustedCidrs: &xffv3.XffTrustedCidrs{Cidrs: ranges(p.networks)},
			SkipXffAppend:   wrapperspb.Bool(false),
		}),
	}}
}

// clientAddress says who the client is in the header in which Envoy says it itself
// where it uses the remote address: Check and backends look for it there.
func clientAddress() *hcmv3.HttpFilter {
	return httpFilter("gatewright.client_address", &headermutationv3.HeaderMutation{Mutations: &headermutationv3.Mutations{
		RequestMutations: []*mutationv3.HeaderMutation{{Action: &mutationv3.HeaderMutation_Append{
			Append: setHeader("x-envoy-external-address", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
		}}},
	}})
}
