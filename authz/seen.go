package authz

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"

	"github.com/gatewright/gatewright/internal/inline"
)

// What is dear about a token is to take its text apart and to verify its
// signature, and both depend on nothing but the text and a key. So these two
// are remembered, and nothing else is: every other step (the algorithms of the
// provider, the issuer, the key that its set has now, the audience, the times)
// is made for each request, of a token seen before just as of a new one. A key
// that leaves its set, an expiry, a change of the provider and a revocation
// count from the next request on, because there is no verdict that could be
// out of date.

// seenToken is what there is to know of a token that has been verified once.
// It is never changed, but for its place in the table.
type seenToken struct {
	alg, kid string
	hasKID   bool
	typ      string
	hasTyp   bool
	claims   claims
	// key is the public key under which the signature has verified.
	key crypto.PublicKey

	place
}

// tokenSum names a token: the SHA-256 of its exact text. Two texts do not meet
// in it, so nothing more has to be compared, and the memory of a process that
// remembers sums holds no token that somebody could use.
type tokenSum [sha256.Size]byte

func sumOf(raw string) tokenSum { return sha256.Sum256([]byte(raw)) }

// weightOf is how many entries a token counts for: one for each KiB of its text
// that is begun. What a token takes in memory grows with its length, so a bound
// of entries alone would be none of memory.
func weightOf(raw string) int { return (len(raw) + 1023) / 1024 }

// asToken is the token of this text, which has been seen before.
func (s *seenToken) asToken(raw string) token {
	return token{raw: raw, alg: s.alg, kid: s.kid, hasKID: s.hasKID, typ: s.typ, hasTyp: s.hasTyp, seen: s}
}

// seenOf is what to remember of a token that has just been verified under a key.
func seenOf(t token, c claims, key crypto.PublicKey) *seenToken {
	return &seenToken{alg: t.alg, kid: t.kid, hasKID: t.hasKID, typ: t.typ, hasTyp: t.hasTyp, claims: c, key: key, place: place{weight: weightOf(t.raw)}}
}

// sameKey reports whether two public keys are one. All of the standard library
// can be compared; one that cannot is another. As long as the set is the same,
// an RSA key is the same object, and need not be compared, which allocates.
func sameKey(a, b crypto.PublicKey) bool {
	if one, ok := a.(*rsa.PublicKey); ok && one == b {
		return true
	}
	comparable, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(b)
}

// claims are the token's, decoded; for a token seen before, they are those that
// were decoded then.
func (t token) claims() (claims, error) {
	if t.seen != nil {
		return t.seen.claims, nil
	}
	return decodeClaims(t.payload)
}

// verifies reports whether the token's signature is the key's. It is counted
// where it has to be looked at.
func (t token) verifies(ctx context.Context, key crypto.PublicKey, m *jwksMetrics) bool {
	if t.seen != nil && sameKey(t.seen.key, key) {
		return true
	}
	if m != nil {
		m.signatures.Inc()
	}
	if takesLong(key) {
		inline.Blocks(ctx)
	}
	if t.seen == nil {
		return verifySignature(t, key)
	}
	// Its issuer has another key under the same kid, or another issuer has.
	whole, refused := parseToken(t.raw)
	return refused == nil && verifySignature(whole, key)
}
