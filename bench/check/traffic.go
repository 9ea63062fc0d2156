package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/keys"
)

// issuer signs tokens, and is in the config with its keys.
type issuer struct {
	rsa     *rsa.PrivateKey
	ed25519 ed25519.PrivateKey
	jwks    []byte
	config  []byte
	hashes  map[string]string // of the policies, by route
}

func newIssuer() (*issuer, error) {
	i := &issuer{}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	var public ed25519.PublicKey
	if public, i.ed25519, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	i.jwks, err = json.Marshal(map[string]any{"keys": []any{
		map[string]any{"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": b64(i.rsa.N.Bytes()), "e": b64(big.NewInt(int64(i.rsa.E)).Bytes())},
		map[string]any{"kty": "OKP", "kid": "ed", "use": "sig", "alg": "EdDSA", "crv": "Ed25519", "x": b64(public)},
	}})
	if err != nil {
		return nil, fmt.Errorf("writing the key set: %w", err)
	}
	return i.knownBy("inline: '" + string(i.jwks) + "'")
}

// knownBy is the issuer as a config names it that has its keys in a way.
func (i *issuer) knownBy(jwks string) (*issuer, error) {
	known := *i
	known.hashes = map[string]string{}
	known.config = fmt.Appendf(nil, `listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {app: {endpoints: ["127.0.0.1:8081"]}}
auth:
  jwt:
    main:
      issuer: https://id.example.com/
      audiences: [api]
      algorithms: [RS256, EdDSA]
      jwks: {%s}
      forward: {sub: X-User-ID}
  apiKey: {partners: {from: {header: X-API-Key}, forward: {owner: X-User-ID}}}
routes:
  - {name: token, match: {path: /token}, auth: {anyOf: [{jwt: main, scopes: [users:read]}]}, to: [{backend: app}]}
  - {name: key, match: {path: /key}, auth: {anyOf: [{apiKey: partners, permissions: [users:read]}]}, to: [{backend: app}]}
`, jwks)
	c, err := config.Parse("gateway.yaml", known.config)
	if err != nil {
		return nil, err
	}
	for _, r := range c.Routes {
		known.hashes[r.Name] = authz.NewPolicy(c, r, false).Hash()
	}
	return &known, nil
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// token is one of some 700 bytes, with a number that makes it another one.
func (i *issuer) token(alg string, number int) (string, error) {
	payload, err := i.payload(number, "https://id.example.com/")
	if err != nil {
		return "", err
	}
	kid := map[string]string{"RS256": "rsa", "EdDSA": "ed"}[alg]
	input := b64(fmt.Appendf(nil, `{"alg":%q,"kid":%q,"typ":"JWT"}`, alg, kid)) + "." + b64(payload)
	var signature []byte
	if alg == "EdDSA" {
		signature = ed25519.Sign(i.ed25519, []byte(input))
	} else {
		digest := sha256.Sum256([]byte(input))
		if signature, err = rsa.SignPKCS1v15(nil, i.rsa, crypto.SHA256, digest[:]); err != nil {
			return "", fmt.Errorf("signing a token: %w", err)
		}
	}
	return input + "." + b64(signature), nil
}

// payload is that of a token, with its issuer's name.
func (i *issuer) payload(number int, name string) ([]byte, error) {
	now := time.Now()
	payload, err := json.Marshal(map[string]any{
		"iss": name, "aud": "api", "sub": fmt.Sprintf("user-%d", number), "jti": fmt.Sprintf("%032d", number),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "openid users:read orders:write", "role": "buyer", "tenant": "acme",
	})
	if err != nil {
		return nil, fmt.Errorf("making a token: %w", err)
	}
	return payload, nil
}

// messages are CheckRequests with so many different tokens.
func (i *issuer) messages(alg string, from, n int) ([][]byte, error) {
	out := make([][]byte, n)
	for j := range out {
		raw, err := i.token(alg, from+j)
		if err != nil {
			return nil, err
		}
		if out[j], err = i.message("token", "authorization", "Bearer "+raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// keyMessages are CheckRequests with so many different keys of a database.
func (i *issuer) keyMessages(ctx context.Context, database string, n int) (_ [][]byte, err error) {
	store, err := keys.Open(ctx, keys.Settings{DatabaseURL: database})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	out := make([][]byte, n)
	for j := range out {
		_, secret, err := store.Create(ctx, keys.Spec{Name: "bench", Owner: fmt.Sprintf("owner-%d", j), Tenant: "acme", Permissions: []string{"users:read"}})
		if err != nil {
			return nil, err
		}
		if out[j], err = i.message("key", "x-api-key", secret.Reveal()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// message is a CheckRequest as an Envoy of Gatewright sends it, of 12 headers.
func (i *issuer) message(route, name, value string) ([]byte, error) {
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
		ContextExtensions: map[string]string{"route": route, "policy": i.hashes[route], "backend": "app"},
		MetadataContext:   &corev3.Metadata{}, RouteMetadataContext: &corev3.Metadata{},
	}})
	if err != nil {
		return nil, fmt.Errorf("writing a CheckRequest: %w", err)
	}
	return data, nil
}
