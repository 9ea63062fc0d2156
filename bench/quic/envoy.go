package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// serverName is whom the certificates are for.
const serverName = "api.example.com"

// way is how a new certificate reaches Envoy.
type way struct {
	name string
	// listeners is the file of listeners that belongs to the n-th certificate. Where it
	// is always the same, the file with the certificate is all that changes.
	listeners func(dir string, port, n int) string
	// secret is the file that the n-th certificate is in.
	secret func(n int) string
}

var ways = []way{
	{
		name: "as a secret of its filter chain (SDS)",
		listeners: func(dir string, port, _ int) string {
			return listener(port, "one", chain("one", filepath.Join(dir, "secret.yaml")))
		},
		secret: func(int) string { return "secret.yaml" },
	},
	{
		name:      "with its filter chain (LDS)",
		listeners: func(dir string, port, n int) string { return listener(port, chainName(n), numbered(dir, n)) },
		secret:    numberedSecret,
	},
	{
		// Those of before stay, and their connections with them; a matcher leads new ones to
		// the new. (Here the first stays for good, and else the last.)
		name: "with another filter chain beside its own (LDS)",
		listeners: func(dir string, port, n int) string {
			chains := numbered(dir, n)
			if n > 0 {
				chains += numbered(dir, 0)
			}
			if n > 1 {
				chains += numbered(dir, n-1)
			}
			return listener(port, chainName(n), chains)
		},
		secret: numberedSecret,
	},
}

func chainName(n int) string      { return fmt.Sprintf("chain-%d", n) }
func numberedSecret(n int) string { return fmt.Sprintf("secret-%d.yaml", n) }
func numbered(dir string, n int) string {
	return chain(chainName(n), filepath.Join(dir, numberedSecret(n)))
}

// bootstrap has an Envoy follow the file of listeners.
func bootstrap(dir string) string {
	return fmt.Sprintf(`
node: {id: quic, cluster: quic}
dynamic_resources:
  lds_config: {path_config_source: {path: %q}}
`, filepath.Join(dir, "listeners.yaml"))
}

// listener has chains of which new connections meet the one of that name.
func listener(port int, name, chains string) string {
	return fmt.Sprintf(`
resources:
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: quic
  address: {socket_address: {protocol: UDP, address: 127.0.0.1, port_value: %d}}
  udp_listener_config: {quic_options: {}}
  filter_chain_matcher:
    on_no_match: {action: {name: chain, typed_config: {"@type": type.googleapis.com/google.protobuf.StringValue, value: %s}}}
  filter_chains:%s
`, port, name, chains)
}

// chain answers everything by HTTP/3, with the certificate of a file that it watches.
func chain(name, secret string) string {
	return fmt.Sprintf(`
  - name: %s
    transport_socket:
      name: quic
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport
        downstream_tls_context:
          common_tls_context:
            alpn_protocols: [h3]
            tls_certificate_sds_secret_configs: [{name: edge, sds_config: {path_config_source: {path: %q}}}]
    filters:
    - name: http
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: quic
        codec_type: HTTP3
        route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]}
        http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]`, name, secret)
}

// secretFile is a new certificate and its key, as a file for SDS.
func secretFile() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	number, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	indented := func(kind string, der []byte) string {
		text := string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
		return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n        ")
	}
	return fmt.Sprintf(`
resources:
- "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret
  name: edge
  tls_certificate:
    certificate_chain:
      inline_string: |
        %s
    private_key:
      inline_string: |
        %s
`, indented("CERTIFICATE", cert), indented("PRIVATE KEY", private)), nil
}

// replace puts a file in the place of another in one step, as Envoy's watch wants it.
func replace(path, content string) error {
	next := path + ".next"
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}
