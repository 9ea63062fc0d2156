package authz

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"math/big"
	"time"

	"github.com/gatewright/gatewright/config"
)

// algorithms are the signature algorithms that can be verified, with the hash
// that is signed; Ed25519 hashes by itself. There is no symmetric one, see macs,
// and no "none", so no config can ask for it.
var algorithms = map[string]crypto.Hash{
	"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512,
	"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512,
	"ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512,
	"EdDSA": 0,
}

// algAllowed reports whether the provider accepts the algorithm, by its exact
// name, and has what it takes: public keys or a secret. A provider that lists none
// accepts RS256 and ES256.
func algAllowed(provider *config.JWT, alg string) bool {
	known := algorithms
	if provider.SecretEnv != "" {
		known = macs
	}
	if _, ok := known[alg]; !ok {
		return false
	}
	if len(provider.Algorithms) == 0 {
		return alg == "RS256" || alg == "ES256"
	}
	for _, allowed := range provider.Algorithms {
		if allowed == alg {
			return true
		}
	}
	return false
}

// verifyToken returns the claims of a token that the provider vouches for at
// the time now, and the key that has signed it.
//
// Claims are decoded after the signature has verified: what anybody can make up
// costs no more than that. The issuer alone is looked at before. That believes
// nothing: it can only refuse. It keeps one issuer's tokens, on a route that
// takes several, from looking like forgeries with unknown keys to another one.
func verifyToken(ctx context.Context, keys *KeySets, provider *config.JWT, t token, now time.Time) (claims, crypto.PublicKey, *refusal) {
	if !typAllowed(provider, t) {
		return nil, nil, refuse(ReasonTokenHeaderNotAllowed)
	}
	if !algAllowed(provider, t.alg) {
		return nil, nil, refuse(ReasonTokenAlgNotAllowed)
	}
	if t.seen == nil && issuerIsOther(t.payload, provider.Issuer) {
		return nil, nil, refuse(ReasonTokenIssuerMismatch)
	}
	if t.seen != nil {
		if refused := t.seen.claims.checkIssuer(provider.Issuer); refused != nil {
			return nil, nil, refused
		}
	}
	key, refused := keys.lookup(ctx, provider, t)
	if refused != nil {
		return nil, nil, refused
	}
	if !t.verifies(ctx, key, keys.metrics) { // the dearest step of all, unless it was seen before
		return nil, nil, refuse(ReasonTokenSignatureInvalid)
	}
	c, err := t.claims()
	if err != nil {
		return nil, nil, refuse(ReasonTokenClaimsInvalid)
	}
	if refused := c.checkIssuer(provider.Issuer); refused != nil {
		return nil, nil, refused
	}
	if refused := c.judge(provider, now); refused != nil {
		return nil, nil, refused
	}
	return c, key, nil
}

// takesLong tells that to verify a signature of the key takes some 0.1 ms and more:
// longer than the calls behind it should wait, and long enough to be worth another
// goroutine. RS256 with 2048 bits, ES256 and EdDSA take a third of that, and cost
// twice as much when they are handed from one processor to the next.
func takesLong(key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() > 3072
	case *ecdsa.PublicKey:
		return key.Curve != elliptic.P256()
	}
	return false
}

// verifySignature reports whether the token's signature is the key's, under
// the token's algorithm, which the caller has found to be allowed and to fit
// the key. A key of another type, or a signature of another length, is not it.
//
// It is crypto's own verification and nothing around it: the form of the token
// has been judged, and to read it once more would cost as much as to verify it.
func verifySignature(t token, key crypto.PublicKey) bool {
	if secret, ok := key.(*tokenSecret); ok {
		return secret.verifies(t)
	}
	hash, known := algorithms[t.alg]
	if !known {
		return false
	}
	if t.alg == "EdDSA" { // it hashes by itself
		public, ok := key.(ed25519.PublicKey)
		return ok && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, []byte(t.signingInput()), t.signature)
	}
	hasher := hash.New()
	hasher.Write([]byte(t.signingInput()))
	digest := hasher.Sum(nil)
	switch public := key.(type) {
	case *rsa.PublicKey:
		switch t.alg[:2] {
		case "RS":
			return rsa.VerifyPKCS1v15(public, hash, digest, t.signature) == nil
		case "PS":
			// The salt is as long as the hash (RFC 7518, section 3.5).
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(public, hash, digest, t.signature, options) == nil
		}
	case *ecdsa.PublicKey:
		return t.alg[:2] == "ES" && verifyECDSA(public, t.alg, digest, t.signature)
	}
	return false
}

// curves are those of the algorithms (RFC 7518, section 3.4): one each.
var curves = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}

// verifyECDSA reads the signature as two numbers of the length of the curve's
// order, and nothing beside them.
func verifyECDSA(public *ecdsa.PublicKey, alg string, digest, signature []byte) bool {
	size := (public.Curve.Params().BitSize + 7) / 8
	if public.Curve != curves[alg] || len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(public, digest, r, s)
}

// signingInput is what the signature is over: everything before the last dot.
func (t token) signingInput() string {
	last := len(t.raw) - 1
	for last > 0 && t.raw[last] != '.' {
		last--
	}
	return t.raw[:last]
}
