package authz

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"sync"

	"github.com/gatewright/gatewright/internal/tokentest"
)

// signer is a private key of an issuer, with the kid it is published under.
type signer struct {
	kid  string
	alg  string
	priv crypto.Signer
}

// The issuer's keys are made once: an RSA key takes a moment.
var (
	rsaSigner = sync.OnceValue(func() signer {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		return signer{"rsa-1", "RS256", must(key, err)}
	})
	otherRSA = sync.OnceValue(func() signer {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		return signer{"rsa-1", "RS256", must(key, err)}
	})
	ecSigner = sync.OnceValue(func() signer {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return signer{"ec-1", "ES256", must(key, err)}
	})
	edSigner = sync.OnceValue(func() signer {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return signer{"ed-1", "EdDSA", must(key, err)}
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func b64(data []byte) string { return tokentest.Segment(data) }

func (s signer) key() tokentest.Key { return tokentest.Key{KID: s.kid, Alg: s.alg, Private: s.priv} }

// sign makes a compact JWS of any header and payload text.
func (s signer) sign(header, payload string) string { return s.key().Sign(header, payload) }

func (s signer) signAs(alg, header, payload string) string {
	return s.key().SignAs(alg, header, payload)
}

// jwk is the public key as a member of a JWKS.
func (s signer) jwk() map[string]any { return s.key().JWK() }

func jwksOf(keys ...map[string]any) string {
	return string(must(json.Marshal(map[string]any{"keys": keys})))
}

// header is the usual header of the signer's tokens.
func (s signer) header() string { return s.key().Header() }

// token is a token of the signer with claims that hold, as changed.
func (s signer) token(changed map[string]any) string {
	return s.sign(s.header(), payloadOf(changed))
}
