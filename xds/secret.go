package xds

import (
	"errors"
	"maps"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
)

// Secrets are what files hold that listeners and backends name: it is not in a plan,
// which is made of the config alone, and so of what may be kept and shown.
type Secrets struct {
	Certificates []CertificateSecret
	// Issued and Challenges are by their domains: what was obtained, and what
	// authorities are shown.
	Issued, Challenges []CertificateSecret
	Clients            []ClientsSecret
	// Shown are the certificates that are shown to backends. Their names are those of
	// the backends.
	Shown []CertificateSecret
	// Roots are the authorities that vouch for backends.
	Roots []RootsSecret
}

// CertificateSecret is a certificate and its key.
type CertificateSecret struct {
	// Name is the config's (config.Certificate) or, in Shown, that of a backend; of
	// what is obtained, the domain.
	Name string
	// Chain and Key are PEM.
	Chain, Key []byte
}

// ClientsSecret is who vouches for the clients of a listener.
type ClientsSecret struct {
	Listener string
	// CA and CRL are PEM. CRL may be empty.
	CA, CRL []byte
}

// RootsSecret is who vouches for a backend or, without a name, for all that name
// nobody.
type RootsSecret struct {
	Backend string
	// CA is PEM.
	CA []byte
}

// certificateSecretName and the functions below are the names of secrets, from
// those in the config.
func certificateSecretName(c *config.Certificate) string { return "certificate/" + c.Name }

func clientsSecretName(listener string) string { return "clients/" + listener }

func shownSecretName(backend string) string { return "shown/" + backend }

// rootsSecretName has all backends that name no authorities share those of the
// machine: there are many, and each would have them all.
func rootsSecretName(backend string) string {
	if backend == "" {
		return "roots"
	}
	return "roots/" + backend
}

// With are the resources with the secrets among them, and with the listeners by QUIC as
// these want them (quicgenerations.go). Served are the resources that are served now, or nil.
func (r Resources) With(secrets Secrets, served Resources) (Resources, error) {
	s := set{previous: served, next: maps.Clone(r)}
	delete(s.next, resource.SecretType)
	for _, c := range secrets.Certificates {
		name := certificateSecretName(&config.Certificate{Name: c.Name})
		s.put(resource.SecretType, newResource(resource.SecretType, name, certificateSecret(name, c), nil))
	}
	for _, c := range secrets.Issued {
		name := issuedSecretName(c.Name)
		s.put(resource.SecretType, newResource(resource.SecretType, name, certificateSecret(name, c), nil))
	}
	for _, c := range secrets.Challenges {
		name := challengeSecretName(c.Name)
		s.put(resource.SecretType, newResource(resource.SecretType, name, certificateSecret(name, c), nil))
	}
	for _, c := range secrets.Clients {
		name := clientsSecretName(c.Listener)
		s.put(resource.SecretType, newResource(resource.SecretType, name, clientsSecret(name, c), nil))
	}
	for _, c := range secrets.Shown {
		name := shownSecretName(c.Name)
		s.put(resource.SecretType, newResource(resource.SecretType, name, certificateSecret(name, c), nil))
	}
	for _, c := range secrets.Roots {
		name := rootsSecretName(c.Backend)
		s.put(resource.SecretType, newResource(resource.SecretType, name, clientsSecret(name, ClientsSecret{CA: c.CA}), nil))
	}
	s.quicGenerations()
	return s.next, errors.Join(s.errs...)
}

// SameSecrets tells whether two sets have the same secrets.
func (r Resources) SameSecrets(other Resources) bool {
	return maps.EqualFunc(r[resource.SecretType], other[resource.SecretType], func(a, b Resource) bool { return a.Version == b.Version })
}

func certificateSecret(name string, c CertificateSecret) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: inline(c.Chain),
		PrivateKey:       inline(c.Key),
	}}}
}

func clientsSecret(name string, c ClientsSecret) *tlsv3.Secret {
	v := &tlsv3.CertificateValidationContext{TrustedCa: inline(c.CA)}
	if len(c.CRL) > 0 {
		v.Crl = inline(c.CRL)
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: v}}
}

func inline(content []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: content}}
}

// redacted is what stands in the place of a private key where resources are
// shown, as in Envoy's own config dump.
const redacted = "[redacted]"

// shownMessage is a resource as it may be shown.
func shownMessage(m proto.Message) proto.Message {
	secret, ok := m.(*tlsv3.Secret)
	if !ok || secret.GetTlsCertificate() == nil {
		return m
	}
	// Built anew of what may be shown, so that nothing else slips through.
	return &tlsv3.Secret{Name: secret.GetName(), Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: secret.GetTlsCertificate().GetCertificateChain(),
		PrivateKey:       &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: redacted}},
	}}}
}
