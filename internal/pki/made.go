package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// NewPair is a pair of certificates in DER, the server's own first, and its key.
func NewPair(chain [][]byte, key crypto.PrivateKey) (*Pair, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	return &Pair{Chain: encode("CERTIFICATE", chain...), Key: encode("PRIVATE KEY", der), Leaf: leaf}, nil
}

// ParsePair is a pair of what has a chain in PEM and what has its key, which may be
// one. Whether it can be served now is not asked.
func ParsePair(chain, key []byte) (*Pair, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	return NewPair(pair.Certificate, pair.PrivateKey)
}

// EncodeKey is a key in PEM.
func EncodeKey(key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(fmt.Sprintf("pki: encoding a key that was made here: %v", err))
	}
	return encode("PRIVATE KEY", der)
}

// ParseKey reads what EncodeKey writes.
func ParseKey(content []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if private, ok := key.(*ecdsa.PrivateKey); ok {
		return private, nil
	}
	return nil, errors.New("is no ECDSA key")
}
