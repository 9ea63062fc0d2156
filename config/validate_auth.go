package config

import "strings"

func (c *checker) routeAuth(at *place, a *RouteAuth) {
	for i, q := range a.AnyOf {
		c.requirement(at.key("anyOf").index(i), q)
	}
}

// requirement holds a requirement to one provider, and to what that kind of
// provider can know.
func (c *checker) requirement(at *place, q *Requirement) {
	providers := new(place).key("auth")
	named := 0
	for _, name := range []string{q.JWT, q.APIKey, q.Introspection} {
		if name != "" {
			named++
		}
	}
	c.must(named == 1, at, "must name exactly one provider, by jwt, apiKey or introspection")
	if q.JWT != "" {
		exists(c, at.key("jwt"), "JWT provider", q.JWT, c.cfg.Auth.JWT, providers.key("jwt"))
		c.must(q.Permissions == nil, at.key("permissions"), "needs apiKey: a token has scopes and claims")
	}
	if q.Introspection != "" {
		exists(c, at.key("introspection"), "introspection provider", q.Introspection, c.cfg.Auth.Introspection, providers.key("introspection"))
		c.must(q.Permissions == nil, at.key("permissions"), "needs apiKey: a token has scopes and claims")
	}
	if q.APIKey != "" {
		exists(c, at.key("apiKey"), "API key provider", q.APIKey, c.cfg.Auth.APIKey, providers.key("apiKey"))
		c.must(q.Scopes == nil, at.key("scopes"), "needs jwt or introspection: an API key has permissions")
		c.must(q.Claims == nil, at.key("claims"), "needs jwt or introspection: an API key has permissions")
	}
	c.grants(at.key("scopes"), q.Scopes)
	c.grants(at.key("permissions"), q.Permissions)
	for _, claim := range sorted(q.Claims) {
		at := at.key("claims").key(claim)
		c.must(claim != "", at, "a claim must have a name")
		c.must(len(q.Claims[claim]) > 0, at, "must list a value: nothing equals none")
		c.words(at, q.Claims[claim])
	}
}

// grants holds scopes and permissions to words without spaces: in a token,
// spaces stand between them (RFC 6749, section 3.3).
func (c *checker) grants(at *place, names []string) {
	c.words(at, names)
	for i, name := range names {
		c.must(!strings.Contains(name, " "), at.index(i), "must not contain spaces: list each by itself")
	}
}
