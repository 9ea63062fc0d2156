package config

import (
	"slices"
	"strings"

	"github.com/gatewright/gatewright/internal/rule"
)

// maxKeyParts bounds what a limit's key is made of.
const maxKeyParts = 8

func (c *checker) keyParts(at *place, parts []KeyPart) {
	c.must(len(parts) <= maxKeyParts, at, "must have at most 8 parts")
	seen := map[string]bool{}
	for i, part := range parts {
		at, folded := at.index(i), foldedPart(part)
		c.obey(at, c.keyPartRule(part))
		c.must(!seen[folded], at, "is listed twice")
		seen[folded] = true
	}
}

// foldedPart is a part in the one spelling that it is compared by.
func foldedPart(part KeyPart) string {
	if name, ok := part.Header(); ok {
		return KeyHeaderPrefix + strings.ToLower(name)
	}
	return string(part)
}

func (c *checker) keyPartRule(part KeyPart) string {
	if name, ok := part.Header(); ok {
		return c.matchedHeaderRule(name)
	}
	if name, ok := part.Claim(); ok {
		if name == "" {
			return "must name the claim, as claim:plan"
		}
		return ""
	}
	if text, ok := part.Rule(); ok {
		if text == "" {
			return "must have an expression, as rule:request.host"
		}
		if _, err := rule.CompileText(text); err != nil {
			return err.Error()
		}
		return ""
	}
	known := []KeyPart{KeyUser, KeyTenant, KeyAPIKey, KeyClientIP, KeyRoute, KeyMethod}
	if slices.Contains(known, part) {
		return ""
	}
	return c.choiceRule(string(part), append(words(known), "header:NAME", "claim:NAME", "rule:EXPRESSION"))
}

// Header is the name of the header that a part is.
func (p KeyPart) Header() (name string, ok bool) {
	return strings.CutPrefix(string(p), KeyHeaderPrefix)
}

// Claim is the name of the claim that a part is.
func (p KeyPart) Claim() (name string, ok bool) {
	return strings.CutPrefix(string(p), KeyClaimPrefix)
}

// Rule is the expression that a part is.
func (p KeyPart) Rule() (text string, ok bool) {
	return strings.CutPrefix(string(p), KeyRulePrefix)
}

// OfCaller tells a part of a key whose value is the caller's, and not the
// request's.
func (p KeyPart) OfCaller() bool {
	if text, ok := p.Rule(); ok {
		r, err := rule.CompileText(text)
		return err == nil && r.OfCaller()
	}
	_, claim := p.Claim()
	return claim || p == KeyUser || p == KeyTenant || p == KeyAPIKey
}

// OfCaller tells that it depends on who the caller is which bucket of the limit a
// request is charged to, or how much. All other limits can be charged to a request
// of which nobody knows whose it is.
func (l *Limit) OfCaller() bool {
	return l.counts(KeyPart.OfCaller) || l.Cost.OfCaller()
}

// ipv6Prefix holds the length of a prefix to a limit that has addresses.
func (c *checker) ipv6Prefix(at *place, l *Limit) {
	c.between(at, 0, int64(l.IPv6Prefix), 128)
	c.must(l.IPv6Prefix == 0 || slices.Contains(l.Key, KeyClientIP), at, "needs a key with clientIP")
}

// DefaultIPv6Prefix is the least that one subscriber is given (RFC 6177).
const DefaultIPv6Prefix = 64

// ClientPrefix is how many leading bits of an IPv6 address are one client.
func (l *Limit) ClientPrefix() int {
	if l.IPv6Prefix == 0 {
		return DefaultIPv6Prefix
	}
	return l.IPv6Prefix
}
