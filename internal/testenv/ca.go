package testenv

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"testing"
	"time"
)

// CA is a certificate authority of a test.
type CA struct {
	// PEM is its own certificate.
	PEM []byte

	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes an authority that nobody else knows.
func NewCA(t testing.TB) *CA {
	t.Helper()
	ca := &CA{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: fmt.Sprintf("CA of %s, %s", t.Name(), serial(t))},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	ca.PEM = ca.sign(template, template, &ca.key.PublicKey)
	var err error
	if block, _ := pem.Decode(ca.PEM); block != nil {
		ca.cert, err = x509.ParseCertificate(block.Bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// Intermediate makes an authority below this one.
func (ca *CA) Intermediate() *CA {
	ca.t.Helper()
	below := &CA{t: ca.t, key: newKey(ca.t)}
	template := &x509.Certificate{
		SerialNumber: serial(ca.t), Subject: pkix.Name{CommonName: "below " + ca.cert.Subject.CommonName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	below.PEM = ca.sign(template, ca.cert, &below.key.PublicKey)
	block, _ := pem.Decode(below.PEM)
	var err error
	if below.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		ca.t.Fatal(err)
	}
	return below
}

// Revoke is a list, in PEM, of the certificates that the authority has taken
// back, by their serial numbers.
func (ca *CA) Revoke(at, next time.Time, serials ...*big.Int) []byte {
	ca.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: at, NextUpdate: next}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: at})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// Leaf says what a certificate is for. The zero value is one for both ends of
// a connection, without names, valid for an hour.
type Leaf struct {
	Subject           pkix.Name
	DNS, URIs, Emails []string
	IPs               []net.IP
	NotAfter          time.Time
	Usage             []x509.ExtKeyUsage
	// Serial is the serial number; nil is one that nothing else has.
	Serial *big.Int
	// Extensions are put into it as they are.
	Extensions []pkix.Extension
	// Key is its key; nil is a new one of ECDSA.
	Key crypto.Signer
}

// Issue makes a certificate and its key, in PEM.
func (ca *CA) Issue(l Leaf) (cert, key []byte) {
	ca.t.Helper()
	if l.NotAfter.IsZero() {
		l.NotAfter = time.Now().Add(time.Hour)
	}
	if l.Usage == nil {
		l.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	}
	if l.Serial == nil {
		l.Serial = serial(ca.t)
	}
	template := &x509.Certificate{
		SerialNumber: l.Serial, Subject: l.Subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: l.NotAfter,
		EmailAddresses: l.Emails, ExtraExtensions: l.Extensions,
		DNSNames: l.DNS, IPAddresses: l.IPs, ExtKeyUsage: l.Usage, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for _, text := range l.URIs {
		u, err := url.Parse(text)
		if err != nil {
			ca.t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	private := l.Key
	if private == nil {
		private = newKey(ca.t)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		ca.t.Fatal(err)
	}
	return ca.sign(template, ca.cert, private.Public()), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// IssueFiles is Issue into two files, each replaced in one step.
func (ca *CA) IssueFiles(l Leaf, cert, key string) {
	ca.t.Helper()
	certPEM, keyPEM := ca.Issue(l)
	ReplaceFile(ca.t, key, keyPEM)
	ReplaceFile(ca.t, cert, certPEM)
}

// Pair is Issue as a client takes it.
func (ca *CA) Pair(l Leaf) tls.Certificate {
	ca.t.Helper()
	pair, err := tls.X509KeyPair(ca.Issue(l))
	if err != nil {
		ca.t.Fatal(err)
	}
	return pair
}

// DER is its own certificate, as it goes into a chain.
func (ca *CA) DER() []byte { return ca.cert.Raw }

// Pool has this authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

func (ca *CA) sign(template, parent *x509.Certificate, public crypto.PublicKey) []byte {
	ca.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// ReplaceFile writes a file in one step, as `mv` does.
func ReplaceFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".next", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
