//go:build ignore

// Makes the certificates beside it, for tests alone: `go run make.go`. They are
// of names that exist nowhere, and their keys are no secret.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"math/big"
	"os"
	"time"
)

// Certificates of tests must not expire: those that do are so from the beginning.
var (
	begin = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	end   = time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC)
)

var serial int64

func main() {
	ca, caKey := authority("Partners CA")
	write("partners-ca.crt", "CERTIFICATE", ca.Raw)
	write("internal-ca.crt", "CERTIFICATE", ca.Raw)
	other, _ := authority("Another CA")
	write("both-ca.crt", "CERTIFICATE", ca.Raw, other.Raw)
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: begin, NextUpdate: end,
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(99), RevocationTime: begin}},
	}, ca, caKey)
	check(err)
	write("partners.crl", "X509 CRL", list)

	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf("edge", ca, caKey, end, server, newECDSA(), "api.example.com", "*.example.com")
	leaf("shop", ca, caKey, end, server, newECDSA(), "shop.example.org")
	leaf("expired", ca, caKey, begin.AddDate(1, 0, 0), server, newECDSA(), "api.example.com")
	leaf("client", ca, caKey, end, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, newECDSA(), "api.example.com")
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(err)
	leaf("ed25519", ca, caKey, end, server, ed, "api.example.com")
}

func authority(name string) (*x509.Certificate, crypto.Signer) {
	key := newECDSA()
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: begin, NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	cert, err := x509.ParseCertificate(der)
	check(err)
	return cert, key
}

func leaf(name string, ca *x509.Certificate, caKey crypto.Signer, until time.Time, usage []x509.ExtKeyUsage, key crypto.Signer, dns ...string) {
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: begin, NotAfter: until,
		DNSNames: dns, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usage,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	check(err)
	write(name+".crt", "CERTIFICATE", der)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	write(name+".key", "PRIVATE KEY", pkcs8)
}

func newECDSA() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	return key
}

func write(file, kind string, ders ...[]byte) {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	check(os.WriteFile(file, out, 0o600))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
