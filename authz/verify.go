package authz

import (
	"context"
	"crypto"
	"crypto/rsa"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// algorithms are the signature algorithms that can be verified, with the hash
// of those that are RSA-PSS. There is no symmetric one and no "none", so no
// config can ask for them.
var algorithms = map[string]crypto.Hash{
	"RS256": 0, "RS384": 0, "RS512": 0,
	"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512,
	"ES256": 0, "ES384": 0, "ES512": 0,
	"EdDSA": 0,
}

// algAllowed reports whether the provider accepts the algorithm, by its exact
// name. A provider that lists none accepts RS256 and ES256.
func algAllowed(provider *config.JWT, alg string) bool {
	if _, known := algorithms[alg]; !known {
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
// the time now.
//
// The issuer is compared before the signature is verified. That believes
// nothing: it can only refuse. It keeps one issuer's tokens, on a route that
// takes several, from looking like forgeries with unknown keys to another one.
func verifyToken(ctx context.Context, keys *KeySets, provider *config.JWT, t token, now time.Time) (claims, *refusal) {
	if !typAllowed(provider, t) {
		return nil, refuse(ReasonTokenHeaderNotAllowed)
	}
	if !algAllowed(provider, t.alg) {
		return nil, refuse(ReasonTokenAlgNotAllowed)
	}
	c, err := decodeClaims(t.payload)
	if err == nil {
		if refused := c.checkIssuer(provider.Issuer); refused != nil {
			return nil, refused
		}
	}
	key, refused := keys.lookup(ctx, provider, t)
	if refused != nil {
		return nil, refused
	}
	if !verifySignature(t, key) {
		return nil, refuse(ReasonTokenSignatureInvalid)
	}
	if err != nil {
		return nil, refuse(ReasonTokenClaimsInvalid)
	}
	if refused := c.judge(provider, now); refused != nil {
		return nil, refused
	}
	return c, nil
}

// verifySignature reports whether the token's signature is the key's, under
// the token's algorithm, which the caller has found to be allowed and to fit
// the key.
func verifySignature(t token, key crypto.PublicKey) bool {
	_, err := jws.Verify([]byte(t.raw), jws.WithKey(jwa.SignatureAlgorithm(t.alg), key))
	return err == nil && saltFits(t, key)
}

// saltFits reports whether an RSA-PSS signature has a salt as long as its hash,
// as RFC 7518, section 3.5 asks. jwx accepts every length.
func saltFits(t token, key crypto.PublicKey) bool {
	hash := algorithms[t.alg]
	if hash == 0 {
		return true
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return false
	}
	digest := hash.New()
	digest.Write([]byte(t.signingInput()))
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return rsa.VerifyPSS(public, hash, digest.Sum(nil), t.signature, options) == nil
}

// signingInput is what the signature is over: everything before the last dot.
func (t token) signingInput() string {
	last := len(t.raw) - 1
	for last > 0 && t.raw[last] != '.' {
		last--
	}
	return t.raw[:last]
}
