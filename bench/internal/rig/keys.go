package rig

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// KeptIssuer returns the one whose private keys are in a file, which is made where
// there is none: so somebody else can be told its public keys before it is measured.
func KeptIssuer(file string) (*Issuer, error) {
	text, err := os.ReadFile(filepath.Clean(file))
	if errors.Is(err, fs.ErrNotExist) {
		return keepNewIssuer(file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	i, err := issuerFrom(text)
	if err != nil {
		return nil, fmt.Errorf("reading the keys in %s: %w", file, err)
	}
	return i, nil
}

func keepNewIssuer(file string) (*Issuer, error) {
	i, err := NewIssuer()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, key := range []any{i.RSA, i.Ed25519} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, fmt.Errorf("writing the keys: %w", err)
		}
		if err := pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
			return nil, fmt.Errorf("writing the keys: %w", err)
		}
	}
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("writing the keys: %w", err)
	}
	return i, nil
}

// issuerFrom is that of a file: its RSA key and its key of Ed25519, as PKCS #8 in PEM.
func issuerFrom(text []byte) (*Issuer, error) {
	var private *rsa.PrivateKey
	var edwards ed25519.PrivateKey
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			private = key
		case ed25519.PrivateKey:
			edwards = key
		}
	}
	if private == nil || edwards == nil {
		return nil, errors.New("an RSA key and one of Ed25519 must be there, as PKCS #8 in PEM")
	}
	return issuerOf(private, edwards)
}
