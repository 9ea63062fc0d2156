package pki

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Authorities are those whose certificates are taken, and what they have taken
// back.
type Authorities struct {
	// CA and CRL are PEM with nothing in it but certificates and revocation
	// lists. CRL may be empty.
	CA, CRL []byte
	// NotAfter is when the first of the authorities expires that are valid now, or
	// the first of the lists.
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
		var until time.Time
		if a.CRL, until, rule = revocations(crl, certificates, now); rule != "" {
			return nil, problem(CRL, crl, "%s", rule)
		}
		if until.Before(a.NotAfter) {
			a.NotAfter = until
		}
	}
	return a, nil
}

// revocations reads the lists of authorities, and until when all of them are
// good. What is past its next update is refused here, since Envoy would refuse
// all clients for it.
func revocations(path string, of []*x509.Certificate, now time.Time) (out []byte, until time.Time, rule string) {
	content, rule := read(path)
	if rule != "" {
		return nil, until, rule
	}
	ders, rule := blocks(content, "X509 CRL")
	if rule != "" {
		return nil, until, rule
	}
	listed := map[string]bool{} // authorities, by their raw subjects
	for i, der := range ders {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, until, fmt.Sprintf("block %d is no revocation list: %v", i+1, err)
		}
		if !signedByOneOf(list, of) {
			return nil, until, fmt.Sprintf("block %d is not signed by an authority of clientCA", i+1)
		}
		if rule := inTime(list.ThisUpdate, list.NextUpdate, now); rule != "" {
			return nil, until, fmt.Sprintf("block %d, of %q, %s", i+1, list.Issuer, rule)
		}
		listed[string(list.RawIssuer)] = true
		if until.IsZero() || list.NextUpdate.Before(until) {
			until = list.NextUpdate
		}
	}
	for _, c := range of {
		if !listed[string(c.RawSubject)] {
			return nil, until, fmt.Sprintf("must have a list of %q, too: of an authority without one every certificate is refused", c.Subject)
		}
	}
	return encode("X509 CRL", ders...), until, ""
}

func signedByOneOf(list *x509.RevocationList, of []*x509.Certificate) bool {
	return slices.ContainsFunc(of, func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(c) == nil
	})
}
