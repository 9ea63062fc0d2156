package demo

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// Warning is sent with every answer of the provider, in the header X-Demo-Only.
const Warning = "this provider signs a token for anybody; trust it in demonstrations only"

// IDP is an identity provider that signs a token for anybody who asks. It
// serves
//
//	/.well-known/jwks.json, /jwks.json    its public keys (RFC 7517)
//	/.well-known/openid-configuration     where they are (OpenID Connect Discovery 1.0)
//	/token?sub=alice&…                    a token; see serveToken
//
// and makes tokens, good and bad ones, for tests.
type IDP struct {
	issuer string
	now    func() time.Time
	mux    *http.ServeMux

	ring        atomic.Pointer[keyring]
	jwksFetches atomic.Int64
	down        atomic.Bool
	garbage     atomic.Bool
}

// NewIDP returns a provider with new keys. Its issuer is what the tokens say in
// iss; it need not be the address of a server. Tokens are dated by now.
func NewIDP(issuer string, now func() time.Time) (*IDP, error) {
	if issuer == "" {
		return nil, errors.New("the demo identity provider needs an issuer")
	}
	p := &IDP{issuer: issuer, now: now, mux: http.NewServeMux()}
	if err := p.Rotate(); err != nil {
		return nil, err
	}
	p.mux.HandleFunc("GET /.well-known/jwks.json", p.serveJWKS)
	p.mux.HandleFunc("GET /jwks.json", p.serveJWKS)
	p.mux.HandleFunc("GET /.well-known/openid-configuration", p.serveDiscovery)
	p.mux.HandleFunc("GET /token", p.serveToken)
	return p, nil
}

// Issuer returns the iss of the provider's tokens.
func (p *IDP) Issuer() string { return p.issuer }

// Rotate replaces every key by a new one, under a new kid. Tokens that were
// signed before no longer verify against what is published.
func (p *IDP) Rotate() error {
	ring, err := newKeyring()
	if err != nil {
		return fmt.Errorf("making the keys of the demo identity provider: %w", err)
	}
	p.ring.Store(ring)
	return nil
}

// JWKSFetches returns how many times the public keys were asked for, in vain or not.
func (p *IDP) JWKSFetches() int64 { return p.jwksFetches.Load() }

// SetDown makes the provider answer 503 to everything.
func (p *IDP) SetDown(down bool) { p.down.Store(down) }

// SetGarbage makes the provider answer 200 with a page of HTML in place of its
// public keys, as proxies and captive portals do.
func (p *IDP) SetGarbage(garbage bool) { p.garbage.Store(garbage) }

// ServeHTTP answers as the type's comment says.
func (p *IDP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Demo-Only", Warning)
	if isJWKS(r.URL.Path) {
		p.jwksFetches.Add(1)
	}
	if p.down.Load() {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	p.mux.ServeHTTP(w, r)
}

func isJWKS(path string) bool {
	return path == "/jwks.json" || path == "/.well-known/jwks.json"
}

func (p *IDP) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	if p.garbage.Load() {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintln(w, "<html><body>Please sign in to this network.</body></html>")
		return
	}
	writeJSON(w, http.StatusOK, p.ring.Load().public)
}

func (p *IDP) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	base := "http://" + r.Host
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                p.issuer,
		"jwks_uri":                              base + "/.well-known/jwks.json",
		"token_endpoint":                        base + "/token",
		"response_types_supported":              []string{"token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{RS256, ES256},
	})
}
