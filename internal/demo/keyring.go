package demo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// The algorithms that the provider signs with (RFC 7518, 3.1).
const (
	RS256 = "RS256"
	ES256 = "ES256"
)

// keyring is one generation of signing keys. It does not change.
type keyring struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	// kids are the key ids, by algorithm.
	kids map[string]string
	// public holds the public keys as a provider publishes them.
	public jwk.Set
}

// newKeyring makes a new key for each algorithm.
func newKeyring() (*keyring, error) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("generating an RSA key: %w", err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generating an EC key: %w", err)
	}
	ring := &keyring{rsa: rsaKey, ec: ecKey, kids: map[string]string{}, public: jwk.NewSet()}
	for algorithm, public := range map[string]any{RS256: rsaKey.Public(), ES256: ecKey.Public()} {
		if err := ring.publish(algorithm, public); err != nil {
			return nil, fmt.Errorf("publishing the %s key: %w", algorithm, err)
		}
	}
	return ring, nil
}

// publish adds a public key under its thumbprint (RFC 7638) as key id.
func (k *keyring) publish(algorithm string, public any) error {
	key, err := jwk.FromRaw(public)
	if err != nil {
		return err
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return err
	}
	kid := base64.RawURLEncoding.EncodeToString(thumbprint)
	for name, value := range map[string]any{
		jwk.KeyIDKey:     kid,
		jwk.AlgorithmKey: jwa.SignatureAlgorithm(algorithm),
		jwk.KeyUsageKey:  jwk.ForSignature,
	} {
		if err := key.Set(name, value); err != nil {
			return err
		}
	}
	k.kids[algorithm] = kid
	return k.public.AddKey(key)
}
