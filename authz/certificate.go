package authz

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatewright/gatewright/internal/pki"
)

// maxCertificateBytes is the longest text of a certificate that is read: many
// times what any is.
const maxCertificateBytes = 32 << 10

// peerCertificate is what is read of a client's certificate. It is immutable.
type peerCertificate struct {
	notBefore, notAfter time.Time
	// uris, dnsNames and emails are the names of each kind (RFC 5280, section
	// 4.2.1.6), as they stand in the certificate; DNS names and the hosts of e-mail
	// addresses are in lower case.
	uris, dnsNames, emails []string
	// commonNames, organizations and units are those of the subject.
	commonNames, organizations, units []string
	// spiffeID is that of an X.509-SVID; nil where it is none.
	spiffeID *pki.SPIFFEID
	// serial and fingerprint, the SHA-256 of the whole, are in hexadecimal.
	// thumbprint is the same as fingerprint, as tokens have it (RFC 8705, section
	// 3.1).
	serial, fingerprint, thumbprint string
}

// readCertificate reads a certificate as Envoy sends it: in PEM, percent-encoded.
// Envoy has verified it; what the two could read in different ways is refused.
func readCertificate(text string) (*peerCertificate, error) {
	if len(text) > maxCertificateBytes {
		return nil, fmt.Errorf("the certificate is longer than %d bytes", maxCertificateBytes)
	}
	plain, err := url.PathUnescape(text)
	if err != nil {
		return nil, fmt.Errorf("decoding the certificate: %w", err)
	}
	block, rest := pem.Decode([]byte(plain))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("what is shown is not one certificate in PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing the certificate: %w", err)
	}
	usage := c.ExtKeyUsage
	if len(usage)+len(c.UnknownExtKeyUsage) > 0 && !slices.Contains(usage, x509.ExtKeyUsageClientAuth) && !slices.Contains(usage, x509.ExtKeyUsageAny) {
		return nil, errors.New("the certificate is not one for clients")
	}
	sum := sha256.Sum256(c.Raw)
	p := &peerCertificate{
		notBefore: c.NotBefore, notAfter: c.NotAfter,
		serial: hex.EncodeToString(c.SerialNumber.Bytes()), fingerprint: hex.EncodeToString(sum[:]),
		thumbprint: base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	if err := p.readNames(c); err != nil {
		return nil, err
	}
	p.readSubject(c)
	for _, list := range [][]string{p.uris, p.dnsNames, p.emails, p.commonNames, p.organizations, p.units} {
		if slices.ContainsFunc(list, func(s string) bool { return !utf8.ValidString(s) }) {
			return nil, errors.New("a name in the certificate is not UTF-8")
		}
	}
	// An SVID has one URI, and can sign nothing (X509-SVID, sections 2 and 4).
	if len(p.uris) == 1 && !c.IsCA && c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) == 0 {
		if id, err := pki.ParseSPIFFEID(p.uris[0]); err == nil {
			p.spiffeID = &id
		}
	}
	return p, nil
}

var (
	oidSubjectAltName     = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidCommonName         = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidOrganization       = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOrganizationalUnit = asn1.ObjectIdentifier{2, 5, 4, 11}
)

// readNames reads the alternative names as they stand: x509 gives URIs as it
// would write them, which is not always how they are.
func (p *peerCertificate) readNames(c *x509.Certificate) error {
	for _, extension := range c.Extensions {
		if !extension.Id.Equal(oidSubjectAltName) {
			continue
		}
		var names asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &names); err != nil || len(rest) > 0 {
			return errors.New("the certificate's alternative names cannot be read")
		}
		for rest := names.Bytes; len(rest) > 0; {
			var name asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &name); err != nil {
				return fmt.Errorf("reading the certificate's alternative names: %w", err)
			}
			if name.Class != asn1.ClassContextSpecific {
				continue
			}
			switch text := string(name.Bytes); name.Tag {
			case 1:
				p.emails = append(p.emails, lowerHost(text))
			case 2:
				// A wildcard is no name of a client: it is everybody's.
				if !strings.Contains(text, "*") {
					p.dnsNames = append(p.dnsNames, strings.ToLower(text))
				}
			case 6:
				p.uris = append(p.uris, text)
			}
		}
	}
	return nil
}

func lowerHost(email string) string {
	at := strings.LastIndexByte(email, '@')
	return email[:at+1] + strings.ToLower(email[at+1:])
}

func (p *peerCertificate) readSubject(c *x509.Certificate) {
	for _, attribute := range c.Subject.Names {
		text, ok := attribute.Value.(string)
		if !ok || text == "" {
			continue
		}
		switch {
		case attribute.Type.Equal(oidCommonName):
			p.commonNames = append(p.commonNames, text)
		case attribute.Type.Equal(oidOrganization):
			p.organizations = append(p.organizations, text)
		case attribute.Type.Equal(oidOrganizationalUnit):
			p.units = append(p.units, text)
		}
	}
}
