package xds

import (
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// transportSocketTo is how bytes go to a backend: nil is plain text. Health checks go by
// it, too.
func transportSocketTo(backend *config.Backend) *corev3.TransportSocket {
	return behindProxyHeader(backend.ProxyProtocol, tlsSocketTo(backend))
}

// tlsSocketTo speaks TLS to a backend: nil is plain text.
func tlsSocketTo(backend *config.Backend) *corev3.TransportSocket {
	if backend.TLS == nil {
		return nil
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: mustAny(upstreamTLS(backend))},
	}
}

// upstreamTLS verifies a backend by authorities and by its name; Envoy itself would
// take any certificate. Both are there from the first connection on: a cluster is not
// used before its secrets have come.
func upstreamTLS(backend *config.Backend) *tlsv3.UpstreamTlsContext {
	u := &tlsv3.UpstreamTlsContext{
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:     tlsParameters(backend.TLS.MinVersion),
			AlpnProtocols: []string{"http/1.1"},
		},
		// A session that is resumed is not verified anew: a certificate that has
		// expired would go on with the tickets it has given.
		MaxSessionKeys: wrapperspb.UInt32(0),
	}
	if backend.SpeaksHTTP2() {
		u.CommonTlsContext.AlpnProtocols = []string{"h2"}
	}
	if backend.TLS.Certificate != nil {
		u.CommonTlsContext.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{secretConfig(shownSecretName(backend.Name))}
	}
	roots := secretConfig(rootsOf(backend))
	name := strings.ToLower(backend.TLS.ServerName)
	if name == "" {
		// The endpoints' own host names: see endpoints.
		u.AutoHostSni, u.AutoSniSanValidation = true, true
		u.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{ValidationContextSdsSecretConfig: roots}
		return u
	}
	san := tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	if address, err := netip.ParseAddr(name); err == nil {
		name = address.String()
	} else {
		san, u.Sni = tlsv3.SubjectAltNameMatcher_DNS, name // an address is no SNI (RFC 6066, section 3)
	}
	u.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			ValidationContextSdsSecretConfig: roots,
			DefaultValidationContext: &tlsv3.CertificateValidationContext{
				MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
					SanType: san,
					Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
				}},
			},
		},
	}
	return u
}

// rootsOf is the name of the secret by which a backend is verified.
func rootsOf(backend *config.Backend) string {
	if backend.TLS.CA == "" {
		return rootsSecretName("")
	}
	return rootsSecretName(backend.Name)
}

// secretsOfBackend are those without which a backend cannot be spoken to.
func secretsOfBackend(backend *config.Backend) []id {
	if backend.TLS == nil {
		return nil
	}
	out := []id{{resource.SecretType, rootsOf(backend)}}
	if backend.TLS.Certificate != nil {
		out = append(out, id{resource.SecretType, shownSecretName(backend.Name)})
	}
	return out
}

// codec is what a health check speaks to a backend.
func codec(p config.Protocol) typev3.CodecClientType {
	if p == config.ProtocolHTTP2 || p == config.ProtocolGRPC {
		return typev3.CodecClientType_HTTP2
	}
	return typev3.CodecClientType_HTTP1
}

// hostnameOf is the name that an endpoint of a backend with TLS is asked by, and must
// have, in the form in which names stand in certificates. Empty: the backend has a
// name of its own, or no TLS.
func hostnameOf(backend *config.Backend, host string) string {
	if backend.TLS == nil || backend.TLS.ServerName != "" {
		return ""
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}
