package rig

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// IssuerName is what tokens of an Issuer say who has issued them.
const IssuerName = "https://id.example.com/"

// Issuer signs tokens.
type Issuer struct {
	RSA     *rsa.PrivateKey
	Ed25519 ed25519.PrivateKey
	// JWKS is the set of its keys, as a config names it.
	JWKS []byte
}

// NewIssuer returns one with keys of its own.
func NewIssuer() (*Issuer, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return issuerOf(private, edwards)
}

func issuerOf(private *rsa.PrivateKey, edwards ed25519.PrivateKey) (*Issuer, error) {
	i := &Issuer{RSA: private, Ed25519: edwards}
	public, _ := edwards.Public().(ed25519.PublicKey) // it is one
	var err error
	i.JWKS, err = json.Marshal(map[string]any{"keys": []any{
		map[string]any{"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": Base64(i.RSA.N.Bytes()), "e": Base64(big.NewInt(int64(i.RSA.E)).Bytes())},
		map[string]any{"kty": "OKP", "kid": "ed", "use": "sig", "alg": "EdDSA", "crv": "Ed25519", "x": Base64(public)},
	}})
	if err != nil {
		return nil, fmt.Errorf("writing the key set: %w", err)
	}
	return i, nil
}

// Base64 is data as it stands in a token.
func Base64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// Token is one of some 700 bytes, with a number that makes it another one. The
// algorithm is RS256 or EdDSA.
func (i *Issuer) Token(alg string, number int) (string, error) {
	payload, err := Payload(number, IssuerName)
	if err != nil {
		return "", err
	}
	return i.Sign(alg, payload)
}

// Sign is the token of a payload. The algorithm is RS256 or EdDSA.
func (i *Issuer) Sign(alg string, payload []byte) (string, error) {
	kid := map[string]string{"RS256": "rsa", "EdDSA": "ed"}[alg]
	input := Base64(fmt.Appendf(nil, `{"alg":%q,"kid":%q,"typ":"JWT"}`, alg, kid)) + "." + Base64(payload)
	var signature []byte
	if alg == "EdDSA" {
		signature = ed25519.Sign(i.Ed25519, []byte(input))
	} else {
		digest := sha256.Sum256([]byte(input))
		var err error
		if signature, err = rsa.SignPKCS1v15(nil, i.RSA, crypto.SHA256, digest[:]); err != nil {
			return "", fmt.Errorf("signing a token: %w", err)
		}
	}
	return input + "." + Base64(signature), nil
}

// tokenAge is how old tokens are: as most are that are used for an hour.
const tokenAge = 10 * time.Minute

// Payload is that of a token, with its issuer's name.
func Payload(number int, name string) ([]byte, error) {
	now := time.Now()
	payload, err := json.Marshal(map[string]any{
		"iss": name, "aud": "api", "sub": fmt.Sprintf("user-%d", number), "jti": fmt.Sprintf("%032d", number),
		"iat": now.Add(-tokenAge).Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "openid users:read orders:write", "role": "buyer", "tenant": "acme",
	})
	if err != nil {
		return nil, fmt.Errorf("making a token: %w", err)
	}
	return payload, nil
}

// CheckRequest is one as an Envoy of Gatewright sends it, of 12 headers:
// one of them is given.
func CheckRequest(route, policy, name, value string) ([]byte, error) {
	headers := [][2]string{
		{":authority", "api.example.com"}, {":path", "/" + route + "?page=2"}, {":method", "GET"}, {":scheme", "https"},
		{"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}, {"accept", "application/json"},
		{"accept-encoding", "gzip, deflate, br"}, {"accept-language", "en-GB,en;q=0.5"}, {"x-forwarded-proto", "https"},
		{"x-forwarded-for", "192.0.2.7"}, {"x-request-id", "7c1f7a0e-9a43-4f0e-8f2f-3e8d1f6a0b11"}, {name, value},
	}
	lines := make([]*corev3.HeaderValue, len(headers))
	for j, h := range headers {
		lines[j] = &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])}
	}
	peer := func(address string, port uint32) *authv3.AttributeContext_Peer {
		return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}}
	}
	data, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: peer("192.0.2.7", 40123), Destination: peer("192.0.2.1", 443),
		Request: &authv3.AttributeContext_Request{Time: timestamppb.Now(), Http: &authv3.AttributeContext_HttpRequest{
			Id: "1234567890123456789", Method: "GET", Path: "/" + route + "?page=2", Host: "api.example.com", Scheme: "https", Protocol: "HTTP/2",
			HeaderMap: &corev3.HeaderMap{Headers: lines},
		}},
		ContextExtensions: map[string]string{"route": route, "policy": policy, "backend": "app"},
		MetadataContext:   &corev3.Metadata{}, RouteMetadataContext: &corev3.Metadata{},
	}})
	if err != nil {
		return nil, fmt.Errorf("writing a CheckRequest: %w", err)
	}
	return data, nil
}
