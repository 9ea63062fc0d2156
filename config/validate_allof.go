package config

import (
	"fmt"
	"strings"
)

// allOf refuses what can never hold together, and what would hold together by
// one credential where two seem to be asked for. Nor is any of it in shadow:
// what is asked of all cannot be tried out in the place of something else.
func (c *checker) allOf(at *place, a *RouteAuth) {
	for i, q := range a.AllOf {
		c.must(!q.InShadow(), at.key("allOf").index(i).key("mode"), "must be enforce: shadow stands in anyOf, and allOf is what nobody passes without")
		for j, other := range a.AllOf[:i] {
			if rule := c.togetherRule(q, other); rule != "" {
				c.obeyUnshown(at.key("allOf").index(i), fmt.Sprintf("cannot stand beside allOf[%d]: %s", j, rule))
				break
			}
		}
	}
	for i, q := range a.AnyOf {
		for j, other := range a.AllOf {
			if rule := c.togetherRule(q, other); rule != "" {
				c.obeyUnshown(at.key("anyOf").index(i), fmt.Sprintf("cannot stand beside allOf[%d]: %s", j, rule))
				break
			}
		}
	}
}

// togetherRule says why two requirements cannot be asked for together, or "".
// One provider can be asked twice, for this and for that. So can two that one
// token may satisfy: a JWT whose issuer is asked about it, too.
func (c *checker) togetherRule(q, other *Requirement) string {
	switch {
	case q.APIKey != "" && other.APIKey != "" && q.APIKey != other.APIKey:
		a, b := c.cfg.Auth.APIKey[q.APIKey], c.cfg.Auth.APIKey[other.APIKey]
		if a != nil && b != nil && keyPlace(a) == keyPlace(b) {
			return "both look for an API key in " + keyPlace(a) + ", where there is one for both"
		}
	case q.APIKey == "" && other.APIKey == "":
		a, b := c.tokenIssuer(q), c.tokenIssuer(other)
		if a != "" && b != "" && a != b {
			return "both look for a token in the header Authorization, where there is one, of one issuer"
		}
	}
	return ""
}

// keyPlace is where keys of a provider are looked for.
func keyPlace(k *APIKey) string {
	if k.From.Query != "" {
		return "the query parameter " + k.From.Query
	}
	return "the header " + strings.ToLower(k.KeyHeader())
}

// tokenIssuer is who must have issued the token that a requirement asks for; ""
// where anybody may, or where there is no such provider.
func (c *checker) tokenIssuer(q *Requirement) string {
	if j := c.cfg.Auth.JWT[q.JWT]; j != nil {
		return j.Issuer
	}
	if i := c.cfg.Auth.Introspection[q.Introspection]; i != nil {
		return i.Issuer
	}
	return ""
}

// callers are the requirements of which one says who the caller is: those of
// anyOf that are enforced, else the first of allOf. Where nothing is enforced
// they are those in shadow.
func (a *RouteAuth) callers() []*Requirement {
	var enforced []*Requirement
	for _, q := range a.AnyOf {
		if !q.InShadow() {
			enforced = append(enforced, q)
		}
	}
	switch {
	case len(enforced) > 0:
		return enforced
	case len(a.AllOf) > 0:
		return a.AllOf[:1]
	}
	return a.AnyOf
}
