package authz

import (
	"slices"
	"strings"
)

// realm is what every challenge names. A route's name would tell strangers
// about the config.
const realm = `realm="gateway"`

// challenge is the WWW-Authenticate header of a 401 or 403: for each kind of
// credential that the policy takes, how to present it. It is empty where the
// policy takes none.
func challenge(p *Policy, u *unidentified) string {
	var schemes []string
	if takesToken(p) {
		schemes = append(schemes, bearerChallenge(u))
	}
	if takesKey(p) {
		// No RFC names a scheme for API keys; this one is widely used.
		schemes = append(schemes, "ApiKey "+realm)
	}
	if takesCertificate(p) {
		// No scheme is registered for what is shown in the handshake, and a 401 must
		// name one (RFC 9110, section 15.5.2).
		schemes = append(schemes, "ClientCertificate "+realm)
	}
	return strings.Join(schemes, ", ")
}

func takesToken(p *Policy) bool {
	for q := range p.Requirements() {
		if q.takesToken() {
			return true
		}
	}
	return false
}

func takesKey(p *Policy) bool {
	for q := range p.Requirements() {
		if q.APIKey != nil {
			return true
		}
	}
	return false
}

func takesCertificate(p *Policy) bool {
	for q := range p.Requirements() {
		if q.ClientCertificate != nil {
			return true
		}
	}
	return false
}

// bearerChallenge follows RFC 6750, section 3: no error where there was no
// token, or nothing is wrong with it alone, and the scopes that are needed where
// the token lacks one.
func bearerChallenge(u *unidentified) string {
	c := "Bearer " + realm
	if !u.by.takesToken() || u.reason == ReasonCredentialMissing || u.reason == ReasonIdentityMismatch {
		return c
	}
	_, p := problemOf(u.reason)
	switch {
	case u.reason == ReasonScopeMissing:
		return c + `, error="insufficient_scope", scope="` + quotable(strings.Join(slices.Concat(u.by.Scopes, u.by.AnyScope), " ")) + `"`
	case p.status == 403:
		return c + `, error="insufficient_scope"`
	default:
		return c + `, error="invalid_token"`
	}
}

// quotable is s without what may not stand in a scope value (RFC 6749, section
// 3.3): only printable ASCII, no quote, no backslash.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}
