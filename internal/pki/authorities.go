package pki

import (
	"bytes"
	"crypto/x509"
	"time"
)

// Authorities are those whose certificates are taken, and what they have taken
// back.
type Authorities struct {
	// CA and CRL are PEM with nothing in it but certificates and revocation
	// lists. CRL may be empty.
	CA, CRL []byte
	// NotAfter is when the first of the authorities expires that are valid now.
	NotAfter time.Time
}

// ReadAuthorities reads a bundle of authorities and, where crl is not empty, one
// of revocation lists: one for each authority, since of an authority without one
// Envoy refuses every certificate.
//
// An authority that has expired may stay in the bundle beside its successor.
func ReadAuthorities(ca, crl string, now time.Time) (*Authorities, *Problem) {
	content, rule := read(ca)
	if rule != "" {
		return nil, problem(CA, ca, "%s", rule)
	}
	ders, rule := blocks(content, "CERTIFICATE")
	if rule != "" {
		return nil, problem(CA, ca, "%s", rule)
	}
	a := &Authorities{CA: encode("CERTIFICATE", ders...)}
	certificates := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		c, err := x509.ParseCertificate(der)
		switch {
		case err != nil:
			return nil, problem(CA, ca, "block %d is no certificate: %v", i+1, err)
		case !c.IsCA:
			return nil, problem(CA, ca, "block %d is the certificate of %q, and not of an authority", i+1, c.Subject)
		}
		certificates[i] = c
		if rule = inTime(c.NotBefore, c.NotAfter, now); rule == "" && (a.NotAfter.IsZero() || c.NotAfter.Before(a.NotAfter)) {
			a.NotAfter = c.NotAfter
		}
	}
	if a.NotAfter.IsZero() {
		return nil, problem(CA, ca, "must have an authority that is valid now: the last one %s", rule)
	}
	if crl != "" {
		if a.CRL, rule = revocations(crl, certificates, now); rule != "" {
			return nil, problem(CRL, crl, "%s", rule)
		}
	}
	return a, nil
}

// revocations reads the lists of authorities. What is past its next update is
// refused here, since Envoy would refuse all clients for it.
func revocations(path string, of []*x509.Certificate, now time.Time) (out []byte, rule string) {
	content, rule := read(path)
	if rule != "" {
		return nil, rule
	}
	ders, rule := blocks(content, "X509 CRL")
	if rule != "" {
		return nil, rule
	}
	listed := map[string]bool{} // authorities, by their raw subjects
	for i, der := range ders {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, problem(CRL, path, "block %d is no revocation list: %v", i+1, err).Rule
		}
		if rule := signedByOneOf(list, of); rule != "" {
			return nil, problem(CRL, path, "block %d %s", i+1, rule).Rule
		}
		if rule := inTime(list.ThisUpdate, list.NextUpdate, now); rule != "" {
			return nil, problem(CRL, path, "block %d, of %q, %s", i+1, list.Issuer, rule).Rule
		}
		listed[string(list.RawIssuer)] = true
	}
	for _, c := range of {
		if !listed[string(c.RawSubject)] {
			return nil, problem(CRL, path, "must have a list of %q, too: of an authority without one every certificate is refused", c.Subject).Rule
		}
	}
	return encode("X509 CRL", ders...), ""
}

func signedByOneOf(list *x509.RevocationList, of []*x509.Certificate) string {
	for _, c := range of {
		if bytes.Equal(c.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(c) == nil {
			return ""
		}
	}
	return "is not signed by an authority of the bundle"
}
