package demo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"time"
)

// DefaultTTL is how long a token is valid unless its claims say otherwise.
const DefaultTTL = 5 * time.Minute

// DefaultAudience is whom a token is for unless its claims say otherwise.
const DefaultAudience = "api"

// TokenOption makes a token other than a good one signed with RS256. Options
// apply in order.
type TokenOption func(*recipe)

// recipe is how a token is made.
type recipe struct {
	header map[string]any
	ring   *keyring
	sign   func(ring *keyring, input []byte) ([]byte, error)
}

// WithAlgorithm signs with RS256 or ES256, under the kid of that key.
func WithAlgorithm(algorithm string) TokenOption {
	return func(r *recipe) {
		r.header["alg"], r.header["kid"] = algorithm, r.ring.kids[algorithm]
		r.sign = signers[algorithm]
	}
}

// WithHeader sets a header parameter, and leaves all else as it is: with kid it
// names another key than the one that signs. A nil value takes it out.
func WithHeader(name string, value any) TokenOption {
	return func(r *recipe) { set(r.header, name, value) }
}

// WithUnknownKeyID names a key that the provider does not have.
func WithUnknownKeyID() TokenOption { return WithHeader("kid", "unknown") }

// WithOtherKey signs with a key that is not the provider's, under the kid of
// one that is. It replaces the way to sign of the options before it.
func WithOtherKey(other *IDP) TokenOption {
	return func(r *recipe) {
		algorithm, _ := r.header["alg"].(string)
		signer := signers[algorithm]
		if signer == nil {
			r.sign = nil // as after an unknown algorithm
			return
		}
		ring := other.ring.Load()
		r.sign = func(_ *keyring, input []byte) ([]byte, error) { return signer(ring, input) }
	}
}

// WithAlgNone says alg "none" and has no signature (RFC 7518, 3.6).
func WithAlgNone() TokenOption {
	return func(r *recipe) {
		r.header["alg"] = "none"
		r.sign = func(*keyring, []byte) ([]byte, error) { return nil, nil }
	}
}

// WithPublicKeyAsSecret says HS256 and takes for its secret the PEM text of the
// provider's public RSA key, which everybody has: the attack on verifiers that
// let the token choose the algorithm (RFC 8725, 2.1).
func WithPublicKeyAsSecret() TokenOption {
	return func(r *recipe) {
		r.header["alg"], r.header["kid"] = "HS256", r.ring.kids[RS256]
		r.sign = signWithPublicKey
	}
}

// Token returns a signed token with claims (RFC 7519). Where claims do not say
// otherwise it has the provider's issuer, DefaultAudience, and is valid from
// now for DefaultTTL; a claim that is nil is left out. So an expired token has
// an exp in the past, and a token for nobody has aud nil.
//
// The result is empty where no such token can be made: a claim that JSON cannot
// hold, or an unknown algorithm.
func (p *IDP) Token(claims map[string]any, options ...TokenOption) string {
	token, err := p.token(claims, options...)
	if err != nil {
		return ""
	}
	return token
}

func (p *IDP) token(claims map[string]any, options ...TokenOption) (string, error) {
	r := &recipe{header: map[string]any{"typ": "JWT"}, ring: p.ring.Load()}
	WithAlgorithm(RS256)(r)
	for _, option := range options {
		option(r)
	}
	if r.sign == nil {
		return "", fmt.Errorf("signing a token: no such algorithm: %v", r.header["alg"])
	}
	header, err := segment(r.header)
	if err != nil {
		return "", fmt.Errorf("writing a token's header: %w", err)
	}
	payload, err := segment(p.withDefaults(claims))
	if err != nil {
		return "", fmt.Errorf("writing a token's claims: %w", err)
	}
	input := header + "." + payload
	signature, err := r.sign(r.ring, []byte(input))
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func (p *IDP) withDefaults(claims map[string]any) map[string]any {
	now := p.now()
	all := map[string]any{
		"iss": p.issuer,
		"aud": DefaultAudience,
		"iat": now.Unix(),
		"exp": now.Add(DefaultTTL).Unix(),
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// signers sign the input of a token (RFC 7515, 5.1) with a keyring's own keys.
var signers = map[string]func(*keyring, []byte) ([]byte, error){
	RS256: signRS256,
	ES256: signES256,
}

func signRS256(ring *keyring, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	return rsa.SignPKCS1v15(rand.Reader, ring.rsa, crypto.SHA256, digest[:])
}

// signES256 returns r and s side by side, 32 bytes each (RFC 7518, 3.4).
func signES256(ring *keyring, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, ring.ec, digest[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature, nil
}

func signWithPublicKey(ring *keyring, input []byte) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(ring.rsa.Public())
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write(input)
	return mac.Sum(nil), nil
}

// segment returns value as JSON in base64url, as the parts of a token are.
func segment(value map[string]any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(text), nil
}

func set(values map[string]any, name string, value any) {
	if value == nil {
		delete(values, name)
		return
	}
	values[name] = value
}
