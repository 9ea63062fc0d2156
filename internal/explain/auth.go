package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// Auth is what the route asks of a caller, and what the request has of it.
type Auth struct {
	// Public tells that nothing is enforced.
	Public bool `json:"public"`
	// Anonymous tells that the request passes as nobody's, for want of any credential.
	Anonymous bool `json:"anonymous,omitempty"`
	// Verdict is passes, denied or unknown.
	Verdict Verdict `json:"verdict"`
	// Denied is the answer of a denial.
	Denied *Answer `json:"denied,omitempty"`
	// AnyOf are the requirements, in the order in which they are tried.
	AnyOf []Requirement `json:"anyOf,omitempty"`
	// AllOf are those that must all hold, and be of one caller.
	AllOf []Requirement `json:"allOf,omitempty"`
	// Shadow is what those in shadow would answer, were they enforced in the place
	// of AnyOf; nil where there are none.
	Shadow *Auth `json:"shadow,omitempty"`
}

// Verdict is how a judgement ends, as far as it can be told.
type Verdict string

// The verdicts. Unknown is that the credential cannot be verified here.
const (
	Passes  Verdict = "passes"
	Denied  Verdict = "denied"
	Unknown Verdict = "unknown"
)

// Requirement is one of those of the route, and what the request has of it.
type Requirement struct {
	Provider string `json:"provider"`
	// Kind is jwt, introspection, apiKey or clientCertificate.
	Kind string `json:"kind"`
	// LookedFor is where the credential is looked for.
	LookedFor string `json:"lookedFor"`
	// Asks are what it must carry, in words.
	Asks    []string `json:"asks,omitempty"`
	Verdict Verdict  `json:"verdict"`
	Denied  *Answer  `json:"denied,omitempty"`
	// Unverified is what is missing to verify the credential.
	Unverified string `json:"unverified,omitempty"`
	Token      *Token `json:"token,omitempty"`
}

// Token is what a token says of itself. Neither it nor its signature is shown.
type Token struct {
	Algorithm string   `json:"alg,omitempty"`
	KeyID     string   `json:"kid,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	Audiences []string `json:"aud,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	Expires   string   `json:"exp,omitempty"`
	NotBefore string   `json:"nbf,omitempty"`
	IssuedAt  string   `json:"iat,omitempty"`
}

func auth(p *authz.Policy, x authz.Examination, at time.Time) *Auth {
	a := &Auth{Public: p.Public(), Anonymous: x.Anonymous}
	switch denied, ok := x.Overall(); {
	case ok:
		a.Verdict = Passes
	case denied != nil:
		a.Verdict, a.Denied = Denied, answer(denied)
	default:
		a.Verdict = Unknown
	}
	a.AnyOf = requirements(p.AnyOf, x.Findings, x.Refused, at)
	a.AllOf = requirements(p.AllOf, x.AllOf, x.Refused, at)
	if x.Shadow != nil {
		a.Shadow = auth(p.InForce(), *x.Shadow, at)
	}
	return a
}

// requirements are what the findings say of a list. There are none where the
// request is refused before it is judged.
func requirements(list []authz.Requirement, findings []authz.Finding, refused *authz.Denial, at time.Time) []Requirement {
	var all []Requirement
	for i := range list {
		f := authz.Finding{Denial: refused}
		if refused == nil {
			f = findings[i]
		}
		all = append(all, requirement(&list[i], f, at))
	}
	return all
}

func requirement(q *authz.Requirement, f authz.Finding, at time.Time) Requirement {
	r := Requirement{Verdict: Passes}
	switch {
	case q.JWT != nil:
		r.Provider, r.Kind, r.LookedFor = q.JWT.Name, "jwt", "the header Authorization, as Bearer TOKEN"
		r.Asks = append([]string{"issuer " + q.JWT.Issuer, "audience " + oneOf(q.JWT.Audiences),
			"algorithm " + oneOf(algorithms(q.JWT.Algorithms))}, grants(q)...)
		if q.JWT.CertificateBound {
			r.Asks = append(r.Asks, "bound to the client's certificate")
		}
		if q.JWT.TokenType != "" {
			r.Asks = append(r.Asks, "type "+q.JWT.TokenType)
		}
	case q.Introspection != nil:
		r.Provider, r.Kind, r.LookedFor = q.Introspection.Name, "introspection", "the header Authorization, as Bearer TOKEN"
		r.Asks = []string{"active at " + q.Introspection.URL}
		if q.Introspection.Issuer != "" {
			r.Asks = append(r.Asks, "issuer "+q.Introspection.Issuer)
		}
		if len(q.Introspection.Audiences) > 0 {
			r.Asks = append(r.Asks, "audience "+oneOf(q.Introspection.Audiences))
		}
		r.Asks = append(r.Asks, grants(q)...)
	case q.APIKey != nil:
		r.Provider, r.Kind, r.LookedFor = q.APIKey.Name, "apiKey", "the header "+q.APIKey.KeyHeader()
		if q.APIKey.From.Query != "" {
			r.LookedFor = "the query parameter " + q.APIKey.From.Query
		}
		r.Asks = grants(q)
	case q.ClientCertificate != nil:
		r.Provider, r.Kind, r.LookedFor = q.ClientCertificate.Name, "clientCertificate", "the handshake of a listener with tls.clientCA"
		r.Asks = certificateAsks(q.ClientCertificate)
	}
	switch {
	case f.Denial != nil:
		r.Verdict, r.Denied = Denied, answer(f.Denial)
	case f.Unverified:
		r.Verdict, r.Unverified = Unknown, missing(q)
	}
	if f.Token != nil {
		r.Token = token(f.Token, at)
	}
	return r
}

// missing is what it would take to verify a credential.
func missing(q *authz.Requirement) string {
	switch {
	case q.Introspection != nil:
		return "there is a token, but only its issuer knows whose it is and what it may, and is not asked here"
	case q.ClientCertificate != nil:
		return "Envoy verifies it in the handshake, by the clientCA of the listener, which is not done here"
	case q.APIKey != nil:
		return "there is a key, but only the key store knows whose it is and what it may"
	case q.JWT.JWKS.URL != "":
		return "its signature needs the key set at " + q.JWT.JWKS.URL + ", which is not fetched here; --jwks " + q.JWT.Name + "=FILE names a copy"
	case q.JWT.JWKS.Discover:
		return "its signature needs the key set that " + q.JWT.Issuer + " names, which is not asked here; --jwks " + q.JWT.Name + "=FILE names a copy"
	default:
		return "its signature needs the key set of " + q.JWT.Name + ", which cannot be used"
	}
}

func grants(q *authz.Requirement) []string {
	var all []string
	for _, s := range q.Scopes {
		all = append(all, "scope "+s)
	}
	if len(q.AnyScope) > 0 {
		all = append(all, "scope "+oneOf(q.AnyScope))
	}
	if len(q.Roles) > 0 {
		all = append(all, "role "+oneOf(q.Roles))
	}
	for _, name := range q.RequiredClaims {
		all = append(all, "claim "+name)
	}
	for _, name := range slices.Sorted(maps.Keys(q.Claims)) {
		all = append(all, "claim "+name+" "+oneOf(q.Claims[name]))
	}
	for _, p := range q.Permissions {
		all = append(all, "permission "+p)
	}
	if q.Rule != "" {
		all = append(all, "rule "+q.Rule)
	}
	return all
}

// certificateAsks are what a certificate must have, in words.
func certificateAsks(p *config.ClientCertificate) []string {
	var all []string
	for _, list := range []struct {
		noun string
		of   []string
	}{{"URI", p.URIs}, {"DNS name", p.DNSNames}, {"e-mail address", p.Emails}, {"common name", p.CommonNames}, {"organization", p.Organizations}} {
		if len(list.of) > 0 {
			all = append(all, list.noun+" "+oneOf(list.of))
		}
	}
	if p.Tenant != "" {
		all = append(all, "tenant by "+string(p.Tenant))
	}
	return all
}

func algorithms(named []string) []string {
	if len(named) == 0 {
		return []string{"RS256", "ES256"}
	}
	return named
}

func oneOf(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "one of " + strings.Join(values, ", ")
}

func answer(d *authz.Denial) *Answer {
	return &Answer{Status: d.Reason.Status(), Reason: string(d.Reason), Detail: d.Detail}
}

func token(t *authz.ShownToken, at time.Time) *Token {
	return &Token{
		Algorithm: t.Algorithm, KeyID: t.KeyID, Issuer: t.Issuer, Audiences: t.Audiences, Scopes: t.Scopes,
		Expires: moment(t.Expires, at), NotBefore: moment(t.NotBefore, at), IssuedAt: moment(t.IssuedAt, at),
	}
}

// moment is a time, and how far it is.
func moment(t, at time.Time) string {
	if t.IsZero() {
		return ""
	}
	text := t.UTC().Format(time.RFC3339)
	switch away := t.Sub(at).Round(time.Second); cmp.Compare(away, 0) {
	case -1:
		return fmt.Sprintf("%s, %s ago", text, -away)
	case 1:
		return fmt.Sprintf("%s, in %s", text, away)
	}
	return text + ", now"
}
