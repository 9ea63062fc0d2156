package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// cipherSuites are those of config.CipherSuites in Envoy's names. Those in brackets are
// equal: the client's order decides, since without AES in hardware ChaCha20 is faster.
// TLS 1.3 has its own, which are all good and cannot be chosen in Envoy.
var cipherSuites = []string{
	"[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
	"[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]",
	"ECDHE-ECDSA-AES256-GCM-SHA384",
	"ECDHE-RSA-AES256-GCM-SHA384",
}

// signatureAlgorithms are those by which either side shows that it has its key: Envoy's
// own without SHA-1, which by TLS 1.2 it would still sign with for who asks for
// nothing better (RFC 9155).
var signatureAlgorithms = []string{
	"ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256", "rsa_pkcs1_sha256", "ecdsa_secp384r1_sha384",
	"rsa_pss_rsae_sha384", "rsa_pkcs1_sha384", "rsa_pss_rsae_sha512", "rsa_pkcs1_sha512",
}

// suiteNames are Envoy's names of config.CipherSuites.
var suiteNames = map[string]string{
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256":       "ECDHE-ECDSA-AES128-GCM-SHA256",
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
	"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256":         "ECDHE-RSA-AES128-GCM-SHA256",
	"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256":   "ECDHE-RSA-CHACHA20-POLY1305",
	"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384":       "ECDHE-ECDSA-AES256-GCM-SHA384",
	"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384":         "ECDHE-RSA-AES256-GCM-SHA384",
}

// listenerParameters are the versions, suites and groups of a listener.
func listenerParameters(t *config.ListenerTLS) *tlsv3.TlsParameters {
	p := tlsParameters(t.MinVersion)
	if len(t.CipherSuites) > 0 {
		p.CipherSuites = nil
		for _, name := range t.CipherSuites {
			p.CipherSuites = append(p.CipherSuites, suiteNames[name])
		}
	}
	if p.EcdhCurves = t.Curves; len(t.Curves) == 0 {
		p.EcdhCurves = config.DefaultCurves()
	}
	return p
}

// transportSocket terminates a listener's TLS.
func transportSocket(l *config.Listener) *corev3.TransportSocket {
	if l.TLS == nil {
		return nil
	}
	return downstreamSocket(downstreamTLS(l))
}

// downstreamSocket terminates TLS.
func downstreamSocket(c *tlsv3.DownstreamTlsContext) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: mustAny(c)},
	}
}

// downstreamTLS names its certificates, which Envoy asks for by themselves (SDS):
// so they change without the listener, whose connections stay. Envoy chooses
// among them by the names that are in them.
func downstreamTLS(l *config.Listener) *tlsv3.DownstreamTlsContext {
	common := &tlsv3.CommonTlsContext{TlsParams: listenerParameters(l.TLS), AlpnProtocols: []string{"h2", "http/1.1"}}
	for _, name := range certificatesOf(l) {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, secretConfig(name))
	}
	d := &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
	if asksClients(l) {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: secretConfig(clientsSecretName(l.Name)),
		}
		d.RequireClientCertificate = wrapperspb.Bool(l.TLS.ClientCertificate == config.ClientCertificateRequired)
	}
	// A session that is resumed is not verified anew: a client's certificate that has
	// been revoked, or whose authority is gone, would come back with its ticket.
	if asksClients(l) || l.TLS.SessionTickets != nil && !*l.TLS.SessionTickets {
		d.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{DisableStatelessSessionResumption: true}
		d.DisableStatefulSessionResumption = true
	}
	return d
}

// tlsParameters are the versions and suites of a connection, on either side.
func tlsParameters(minVersion string) *tlsv3.TlsParameters {
	p := &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		CipherSuites: cipherSuites, SignatureAlgorithms: signatureAlgorithms,
	}
	if minVersion == "1.3" {
		p.TlsMinimumProtocolVersion, p.CipherSuites = tlsv3.TlsParameters_TLSv1_3, nil
	}
	return p
}

// asksClients tells a listener that asks clients for certificates.
func asksClients(l *config.Listener) bool { return l.TLS != nil && l.TLS.ClientCA != "" }

func secretConfig(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: adsSource()}
}

// secretsOfListener are those without which a listener cannot be served.
func secretsOfListener(l *config.Listener) []id {
	if l.TLS == nil {
		return nil
	}
	var out []id
	for _, name := range append(certificatesOf(l), challengesOf(l)...) {
		out = append(out, id{resource.SecretType, name})
	}
	if asksClients(l) {
		out = append(out, id{resource.SecretType, clientsSecretName(l.Name)})
	}
	return out
}

// forwardClientCertificate sets the header in which backends are told of the
// client's certificate, in the place of whatever a client has sent. On other
// listeners the header is taken away, which is Envoy's default.
func forwardClientCertificate(m *hcmv3.HttpConnectionManager, l *config.Listener) {
	if !asksClients(l) || !l.TLS.ForwardClientCertificate {
		return
	}
	m.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
	m.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
		Subject: wrapperspb.Bool(true), Uri: true, Dns: true,
	}
}
