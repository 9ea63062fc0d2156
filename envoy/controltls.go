package envoy

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// ControlTLS is how an Envoy and the control plane know each other. All paths
// are those of Envoy's machine. The zero value is no TLS.
type ControlTLS struct {
	// Cert and Key are Envoy's certificate, CA the authorities of Gatewright's:
	// PEM files.
	Cert, Key, CA string
	// ServerName is the name that Gatewright's certificate must have: a DNS
	// name, an IP address or a URI. Empty: the host of the control address.
	ServerName string
	// Folder is where Envoy finds the files that ControlSecrets returns.
	Folder string
}

// The secrets of a cluster are called by it and these; the files that they are
// in by the secrets.
const (
	certificateSuffix = "-certificate"
	caSuffix          = "-ca"
	secretSuffix      = ".yaml"
)

func (c ControlTLS) isZero() bool { return c == ControlTLS{} }

// validate wants all or nothing.
func (c ControlTLS) validate(controlAddr string) error {
	var missing []string
	for _, f := range []struct{ name, value string }{
		{"a certificate", c.Cert}, {"its key", c.Key}, {"a CA", c.CA}, {"a folder for secrets", c.Folder},
	} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("TLS to the control plane: %s: missing; it takes a certificate, its key and a CA", strings.Join(missing, ", "))
	case strings.HasPrefix(controlAddr, "unix:"):
		return errors.New("TLS to the control plane: there is none on a Unix socket")
	}
	return nil
}

// ControlSecrets are the files through which an Envoy with TLS to the control
// plane follows its certificates, by their names. They belong into
// ControlTLS.Folder on Envoy's machine, and change only with the paths. Each of the
// clusters that lead there has secrets of its own.
//
// For Envoy tells of a new secret one cluster after the other, and stops at the first
// that cannot take it, as where the files of a key and its certificate are replaced
// one by one and it looks in between. The first cluster mends that when it is told of
// the other file. The others would never hear of what they missed, and trust the old
// authority until it is replaced again.
//
// They are files of their own because Envoy follows only what it has by SDS,
// which takes one secret from a file. A certificate that the bootstrap names
// itself is read once.
func ControlSecrets(c ControlTLS, clusters ...string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, cluster := range clusters {
		for _, s := range c.secrets(cluster) {
			file, err := secretFile(s)
			if err != nil {
				return nil, fmt.Errorf("secret %q: %w", s.GetName(), err)
			}
			out[s.GetName()+secretSuffix] = file
		}
	}
	return out, nil
}

// secrets are those of a cluster.
func (c ControlTLS) secrets(cluster string) []*tlsv3.Secret {
	return []*tlsv3.Secret{
		{Name: cluster + certificateSuffix, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: fromFile(c.Cert),
			PrivateKey:       fromFile(c.Key),
			WatchedDirectory: watched(c.Cert, c.Key),
		}}},
		{Name: cluster + caSuffix, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa:        fromFile(c.CA),
			WatchedDirectory: watched(c.CA),
		}}},
	}
}

// secretFile is a file that has a secret, as Envoy takes it.
func secretFile(s *tlsv3.Secret) ([]byte, error) {
	if err := s.ValidateAll(); err != nil {
		return nil, fmt.Errorf("building it: %w", err)
	}
	packed, err := anypb.New(s)
	if err != nil {
		return nil, fmt.Errorf("packing it: %w", err)
	}
	file, err := messageYAML(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{packed}})
	if err != nil {
		return nil, fmt.Errorf("rendering it: %w", err)
	}
	return file, nil
}

// watched is the folder in which a file that is moved makes Envoy read the
// secret again. Where the files are in several, Envoy is left to its default,
// to watch each.
func watched(paths ...string) *corev3.WatchedDirectory {
	dir := filepath.Dir(paths[0])
	for _, p := range paths {
		if filepath.Dir(p) != dir {
			return nil
		}
	}
	return &corev3.WatchedDirectory{Path: dir}
}

func fromFile(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}

// transportSocket is TLS as a client of Gatewright, for a cluster.
func (c ControlTLS) transportSocket(cluster string, at *corev3.Address) *corev3.TransportSocket {
	name := c.ServerName
	if name == "" {
		name = at.GetSocketAddress().GetAddress()
	}
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: mustAny(&tlsv3.UpstreamTlsContext{
			Sni: serverNameIndication(name),
			CommonTlsContext: &tlsv3.CommonTlsContext{
				TlsParams: &tlsv3.TlsParameters{
					TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
					// Envoy's default for a client is 1.2.
					TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
				},
				AlpnProtocols:                  []string{"h2"},
				TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{c.secret(cluster + certificateSuffix)},
				ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
					CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
						DefaultValidationContext: &tlsv3.CertificateValidationContext{
							MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
								SanType: sanType(name),
								Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
							}},
						},
						ValidationContextSdsSecretConfig: c.secret(cluster + caSuffix),
					},
				},
			},
		})},
	}
}

func (c ControlTLS) secret(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{
		Name: name,
		SdsConfig: &corev3.ConfigSource{
			ResourceApiVersion: corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
				PathConfigSource: &corev3.PathConfigSource{Path: filepath.Join(c.Folder, name+secretSuffix)},
			},
		},
	}
}

// serverNameIndication is the name for the handshake; only DNS names are any
// there (RFC 6066, section 3).
func serverNameIndication(name string) string {
	if sanType(name) == tlsv3.SubjectAltNameMatcher_DNS {
		return name
	}
	return ""
}

func sanType(name string) tlsv3.SubjectAltNameMatcher_SanType {
	if _, err := netip.ParseAddr(name); err == nil {
		return tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	}
	if strings.Contains(name, "://") {
		return tlsv3.SubjectAltNameMatcher_URI
	}
	return tlsv3.SubjectAltNameMatcher_DNS
}
