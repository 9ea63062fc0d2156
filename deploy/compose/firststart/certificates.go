package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"time"
)

// validFor is how long the certificates between Gatewright and etcd are valid.
const validFor = 10 * 365 * 24 * time.Hour

// etcdCertificates let Gatewright and etcd know each other: etcd knows its clients by
// certificates without any of them having to make users first. The authority's own
// key is kept nowhere, so nobody can issue more.
func etcdCertificates(now time.Time) ([]file, error) {
	authority, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "gatewright first start"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}, nil, now)
	if err != nil {
		return nil, err
	}
	server, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "etcd"}, DNSNames: []string{"etcd", "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		// etcd calls itself as a client, too.
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, authority, now)
	if err != nil {
		return nil, err
	}
	client, err := issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "gatewright"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority, now)
	if err != nil {
		return nil, err
	}
	return []file{
		{"etcd/ca.crt", authority.certPEM}, {"etcd/server.crt", server.certPEM}, {"etcd/server.key", server.keyPEM},
		{"gatewright/etcd-ca.crt", authority.certPEM}, {"gatewright/etcd.crt", client.certPEM}, {"gatewright/etcd.key", client.keyPEM},
	}, nil
}

// issued is a certificate and its key.
type issued struct {
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
	certPEM, keyPEM string
}

// issue signs a certificate by an authority. Without one it signs itself.
func issue(template *x509.Certificate, by *issued, now time.Time) (*issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	// An hour back, since clocks differ. Without a serial number one is drawn.
	template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(validFor)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of %s: %w", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of %s: %w", template.Subject.CommonName, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key of %s: %w", template.Subject.CommonName, err)
	}
	return &issued{cert, key, encoded("CERTIFICATE", der), encoded("PRIVATE KEY", pkcs8)}, nil
}

func encoded(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
