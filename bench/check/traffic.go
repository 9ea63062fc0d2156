package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/keys"
)

// issuer signs tokens, and is in the config with its keys.
type issuer struct {
	*rig.Issuer
	config []byte
	hashes map[string]string // of the policies, by route
}

func newIssuer() (*issuer, error) {
	i, err := rig.NewIssuer()
	if err != nil {
		return nil, err
	}
	return (&issuer{Issuer: i}).knownBy("inline: '" + string(i.JWKS) + "'")
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

// messages are CheckRequests with so many different tokens.
func (i *issuer) messages(alg string, from, n int) ([][]byte, error) {
	out := make([][]byte, n)
	for j := range out {
		raw, err := i.Token(alg, from+j)
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

// message is a CheckRequest for a route, with a header.
func (i *issuer) message(route, name, value string) ([]byte, error) {
	return rig.CheckRequest(route, i.hashes[route], name, value)
}
