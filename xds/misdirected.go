package xds

import (
	_ "embed"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/gatewright/gatewright/config"
)

// Clients put requests for several hosts on one connection of HTTP/2 or HTTP/3, where
// its certificate has them all (RFC 9113, section 9.1.1). One for a host that it has
// not is answered 421, by which the client asks again on a connection of its own (RFC
// 9110, section 15.5.20). What a certificate is for is known to Envoy alone: it may be
// replaced at any time. A client that has asked for this very host in its handshake,
// or for none, is where it meant to go; and for an address no handshake can ask.

const misdirectedFilter = "gatewright.misdirected"

//go:embed misdirected.lua
var misdirectedScript string

// looksForMisdirected tells a listener with several certificates: where there is but
// one, no other connection would be better.
func looksForMisdirected(l *config.Listener) bool { return l.TLS != nil && len(certificatesOf(l)) > 1 }

// misdirected is the filter of such listeners. It stands before all that looks at the
// host, and has the log find its reason where that of the judge stands, who has not been
// asked.
func misdirected(l *config.Listener) []*hcmv3.HttpFilter {
	if !looksForMisdirected(l) {
		return nil
	}
	return []*hcmv3.HttpFilter{httpFilter(misdirectedFilter, &luav3.Lua{DefaultSourceCode: &corev3.DataSource{
		Specifier: &corev3.DataSource_InlineString{InlineString: misdirectedScript},
	}})}
}
