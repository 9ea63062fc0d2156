package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/internal/rule"
)

func (c *checker) routeAuth(at *place, a *RouteAuth) {
	c.must(a.Public || a.AnyOf != nil || a.AllOf != nil, at, "must be the word public, or have anyOf, allOf or both")
	for _, list := range []struct {
		name string
		of   []*Requirement
	}{{"anyOf", a.AnyOf}, {"allOf", a.AllOf}} {
		at := at.key(list.name)
		someOf(c, at, list.of)
		for i, q := range list.of {
			c.requirement(at.index(i), q)
		}
	}
	c.allOf(at, a)
}

// requirement holds a requirement to one provider, and to what that kind of
// provider can know.
func (c *checker) requirement(at *place, q *Requirement) {
	providers := new(place).key("auth")
	named := 0
	for _, name := range []string{q.JWT, q.APIKey, q.Introspection, q.ClientCertificate} {
		if name != "" {
			named++
		}
	}
	c.must(named == 1, at, "must name exactly one provider, by jwt, apiKey, introspection or clientCertificate")
	if q.JWT != "" {
		exists(c, at.key("jwt"), "JWT provider", q.JWT, c.cfg.Auth.JWT, providers.key("jwt"))
		c.must(q.Permissions == nil, at.key("permissions"), "needs apiKey: a token has scopes and claims")
	}
	if q.Introspection != "" {
		exists(c, at.key("introspection"), "introspection provider", q.Introspection, c.cfg.Auth.Introspection, providers.key("introspection"))
		c.must(q.Roles == nil, at.key("roles"), "needs jwt: an introspection provider names no claim for roles")
		c.must(q.Permissions == nil, at.key("permissions"), "needs apiKey: a token has scopes and claims")
	}
	if q.APIKey != "" {
		const needsToken = "needs jwt or introspection: an API key has permissions"
		exists(c, at.key("apiKey"), "API key provider", q.APIKey, c.cfg.Auth.APIKey, providers.key("apiKey"))
		c.must(q.Scopes == nil, at.key("scopes"), needsToken)
		c.must(q.AnyScope == nil, at.key("anyScope"), needsToken)
		c.must(q.Roles == nil, at.key("roles"), "needs jwt: an API key has permissions")
		c.must(q.RequiredClaims == nil, at.key("requiredClaims"), needsToken)
		c.must(q.Claims == nil, at.key("claims"), needsToken)
	}
	if q.ClientCertificate != "" {
		c.certificateRequirement(at, q)
	}
	c.asked(at, q)
}

// certificateRequirement holds a requirement to what a certificate has. What it
// must have is the provider's word.
func (c *checker) certificateRequirement(at *place, q *Requirement) {
	exists(c, at.key("clientCertificate"), "client certificate provider", q.ClientCertificate, c.cfg.Auth.ClientCertificate, new(place).key("auth").key("clientCertificate"))
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"scopes", q.Scopes != nil}, {"anyScope", q.AnyScope != nil}, {"roles", q.Roles != nil}, {"requiredClaims", q.RequiredClaims != nil},
		{"claims", q.Claims != nil}, {"permissions", q.Permissions != nil}, {"rule", q.Rule != ""},
	} {
		c.must(!field.given, at.key(field.name), "is not for clientCertificate: what a certificate must have, its provider says")
	}
}

// asked are what a requirement asks of its credential.
func (c *checker) asked(at *place, q *Requirement) {
	oneOf(c, at.key("mode"), q.Mode, ModeEnforce, ModeShadow)
	c.grants(at.key("scopes"), q.Scopes)
	c.grants(at.key("anyScope"), q.AnyScope)
	someOf(c, at.key("anyScope"), q.AnyScope)
	c.grants(at.key("permissions"), q.Permissions)
	c.words(at.key("roles"), q.Roles)
	someOf(c, at.key("roles"), q.Roles)
	c.words(at.key("requiredClaims"), q.RequiredClaims)
	for _, claim := range sorted(q.Claims) {
		at := at.key("claims").key(claim)
		c.must(claim != "", at, "a claim must have a name")
		c.must(len(q.Claims[claim]) > 0, at, "must list a value: nothing equals none")
		c.words(at, q.Claims[claim])
	}
	if q.Rule != "" && (q.JWT != "") != (q.APIKey != "") {
		c.obey(at.key("rule"), ruleRule(q))
	}
}

// ruleRule is what is wrong with a rule, by what its provider can know.
func ruleRule(q *Requirement) string {
	about := rule.Token
	if q.APIKey != "" {
		about = rule.Key
	}
	if _, err := rule.Compile(q.Rule, about); err != nil {
		return err.Error()
	}
	return ""
}

// someOf refuses a list of nothing where one of it is asked for.
func someOf[T any](c *checker, at *place, list []T) {
	c.must(list == nil || len(list) > 0, at, "must list at least one")
}

// grants holds scopes and permissions to words without spaces: in a token,
// spaces stand between them (RFC 6749, section 3.3).
func (c *checker) grants(at *place, names []string) {
	c.words(at, names)
	for i, name := range names {
		c.must(!strings.Contains(name, " "), at.index(i), "must not contain spaces: list each by itself")
	}
}

// uncountableRule says which part of a key no request of the route has. All
// its callers would share one bucket, which is not what was meant.
func uncountableRule(key []KeyPart, auth *RouteAuth) string {
	byKey := func(q *Requirement) bool { return q.APIKey != "" }
	byCertificate := func(q *Requirement) bool { return q.ClientCertificate != "" }
	callers := auth.callers()
	shadow := len(callers) > 0 && callers[0].InShadow()
	apart := false    // whether nobody's requests have something to be told apart by
	everybody := true // whether nobody is told apart, and that is meant
	for _, part := range key {
		claim := strings.HasPrefix(string(part), KeyClaimPrefix)
		identity := part.OfCaller()
		apart = apart || !identity && part != KeyRoute && part != KeyMethod
		everybody = everybody && !identity
		switch {
		case identity && auth.Public:
			return fmt.Sprintf("counts by %s, and the route is public: there is nobody to count", shown(string(part)))
		case claim && slices.ContainsFunc(callers, byKey):
			return fmt.Sprintf("counts by %s, and the route takes API keys, which have no claims", shown(string(part)))
		case claim && slices.ContainsFunc(callers, byCertificate):
			return fmt.Sprintf("counts by %s, and the route takes client certificates, which have no claims", shown(string(part)))
		case part == KeyAPIKey && !slices.ContainsFunc(callers, byKey) && slices.ContainsFunc(auth.AllOf, byKey):
			return "counts by apiKey, and the caller of the route is none of an API key: it is one of anyOf, or else the first of allOf"
		case part == KeyAPIKey && !slices.ContainsFunc(callers, byKey) && slices.ContainsFunc(auth.AnyOf, byKey):
			return "counts by apiKey, and the route takes API keys in shadow alone: its enforced requirements say who is counted"
		case part == KeyAPIKey && !slices.ContainsFunc(callers, byKey):
			return "counts by apiKey, and the route takes no API keys"
		}
	}
	if shadow && !apart && !everybody {
		return "counts all who satisfy no requirement together, and they pass, since all requirements are in shadow: its key needs clientIP or a header, too"
	}
	if auth.AllowAnonymous && !apart && !everybody {
		return "counts all who come without a credential together, and the route allows them: its key needs clientIP or a header, too"
	}
	return ""
}
