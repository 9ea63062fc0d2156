package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
)

// Key is a private key of an issuer, with the kid under which it is published.
type Key struct {
	KID string
	// Alg is what the key signs with where nothing else is said.
	Alg string
	// Private is an RSA key, an ECDSA key or an Ed25519 key.
	Private crypto.Signer
}

// Must is the value of a call that does not fail in a test.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Segment is a part of a token, encoded.
func Segment[T ~string | ~[]byte](data T) string {
	return base64.RawURLEncoding.EncodeToString([]byte(data))
}

// Header is the header that most issuers write.
func (k Key) Header() string { return k.HeaderFor(k.Alg) }

// HeaderFor is Header with another algorithm.
func (k Key) HeaderFor(alg string) string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, alg, k.KID)
}

// Sign makes a compact JWS of any header and payload text. It uses crypto alone, so that
// no library of tokens is judged by itself.
func (k Key) Sign(header, payload string) string { return k.SignAs(k.Alg, header, payload) }

// SignAs is Sign with another algorithm.
func (k Key) SignAs(alg, header, payload string) string {
	input := Segment(header) + "." + Segment(payload)
	return input + "." + Segment(k.Signature(alg, input))
}

// Signature is the one of a text by an algorithm that fits the key.
func (k Key) Signature(alg, input string) []byte {
	return k.SignatureWithSalt(alg, input, rsa.PSSSaltLengthEqualsHash)
}

// SignatureWithSalt is Signature with a salt of another length, for PS256 and its like.
func (k Key) SignatureWithSalt(alg, input string, salt int) []byte {
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	digest := []byte(input)
	if hash != 0 {
		h := hash.New()
		h.Write(digest)
		digest = h.Sum(nil)
	}
	switch key := k.Private.(type) {
	case *rsa.PrivateKey:
		if alg[:2] == "PS" {
			return Must(rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: salt}))
		}
		return Must(rsa.SignPKCS1v15(nil, key, hash, digest))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			panic(err)
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		return ed25519.Sign(key, digest)
	}
	panic("no such key")
}

// JWK is the public key as a member of a JWKS.
func (k Key) JWK() map[string]any {
	jwk := map[string]any{"kid": k.KID, "use": "sig"}
	switch key := k.Private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", Segment(key.N.Bytes()), Segment(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point := Must(key.Bytes())
		size := (len(point) - 1) / 2
		jwk["kty"], jwk["crv"] = "EC", key.Curve.Params().Name
		jwk["x"], jwk["y"] = Segment(point[1:1+size]), Segment(point[1+size:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", Segment(key)
	}
	return jwk
}

// NonCanonical sets the bits of the last character of a segment that belong to no byte,
// where there are any.
func NonCanonical(segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(segment) - 1
	for at := range alphabet {
		if alphabet[at] == segment[last] {
			return segment[:last] + string(alphabet[at|1])
		}
	}
	return segment
}
