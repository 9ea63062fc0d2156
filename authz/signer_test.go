package authz

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"
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

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// sign makes a compact JWS of any header and payload text. It uses crypto
// alone, so that jwx is not judged by itself.
func (s signer) sign(header, payload string) string {
	return s.signAs(s.alg, header, payload)
}

func (s signer) signAs(alg, header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	return input + "." + b64(s.signature(alg, input))
}

func (s signer) signature(alg, input string) []byte {
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	var digest []byte
	if hash != 0 {
		h := hash.New()
		h.Write([]byte(input))
		digest = h.Sum(nil)
	}
	switch key := s.priv.(type) {
	case *rsa.PrivateKey:
		if alg[:2] == "PS" {
			return must(rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		}
		return must(rsa.SignPKCS1v15(nil, key, hash, digest))
	case *ecdsa.PrivateKey:
		r, t, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			panic(err)
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), t.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(input))
	}
	panic("no such key")
}

// jwk is the public key as a member of a JWKS.
func (s signer) jwk() map[string]any {
	k := map[string]any{"kid": s.kid, "use": "sig"}
	switch key := s.priv.Public().(type) {
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point := must(key.Bytes())
		size := (len(point) - 1) / 2
		k["kty"], k["crv"] = "EC", key.Curve.Params().Name
		k["x"], k["y"] = b64(point[1:1+size]), b64(point[1+size:])
	case ed25519.PublicKey:
		k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", b64(key)
	}
	return k
}

func jwksOf(keys ...map[string]any) string {
	return string(must(json.Marshal(map[string]any{"keys": keys})))
}

// header is the usual header of the signer's tokens.
func (s signer) header() string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, s.alg, s.kid)
}

// token is a token of the signer with claims that hold, as changed.
func (s signer) token(changed map[string]any) string {
	return s.sign(s.header(), payloadOf(changed))
}
