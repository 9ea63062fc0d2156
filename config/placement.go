package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/internal/rule"
)

// A policy runs inside Envoy as a whole or not at all: whoever has to be asked for one
// part of it answers for all of it in the same call. What is said here is of the config
// alone; see docs/placement.md for what else has a request asked about.

// leastSkew is the least clockSkew of a provider whose tokens Envoy may judge: its clock
// has whole seconds, and it is given one less so that it never takes what Gatewright
// would not.
const leastSkew = 2 * time.Second

// PlacementOf is where a route's policy is to run on a listener.
func (c *Config) PlacementOf(l *Listener, r *Route) Placement {
	switch {
	case l.RateLimit == RateLimitFilter, l.Placement == PlacementService, r.Placement == PlacementService:
		return PlacementService
	case r.Placement == PlacementEnvoy, r.Placement == "" && l.Placement == PlacementEnvoy:
		return PlacementEnvoy
	}
	return PlacementAuto
}

// runsBesideLimits tells whether a route's policy would run inside Envoy if it charged no
// limits.
func (c *Config) runsBesideLimits(r *Route) bool {
	return r.Placement != PlacementService && len(c.whyBesideLimits(r)) == 0
}

func (c *Config) whyBesideLimits(r *Route) []string {
	var why []string
	add := func(format string, args ...any) {
		if reason := fmt.Sprintf(format, args...); !slices.Contains(why, reason) {
			why = append(why, reason)
		}
	}
	c.whyIdentity(r, add)
	if r.KeptByCaller() || r.PinnedByClaim() {
		add("the side of its split depends on who the caller is")
	}
	if told := c.Told(r); len(told) > 0 {
		add("it uses %s of the caller", strings.Join(told, ", "))
	}
	if r.OpenAPI != nil {
		add("its requests are held to an OpenAPI document")
	}
	return why
}

func (c *Config) whyIdentity(r *Route, add func(string, ...any)) {
	if r.Auth == nil || r.Auth.Public {
		return
	}
	if len(r.Auth.AllOf) > 0 {
		add("allOf joins several credentials")
	}
	surely := false // who shows what is asked for, and nothing else, can be let pass
	issuers, keeps := map[string]string{}, map[bool]bool{}
	for _, q := range r.Auth.AnyOf {
		switch {
		case q.InShadow() && !allInShadow(r.Auth):
			add("a requirement is in shadow beside one in force")
		case q.Introspection != "":
			add("introspection %s is asked about tokens", q.Introspection)
		case q.ClientCertificate != "":
			surely = true
			whyCertificate(r, add)
		case q.APIKey != "":
			if k := c.Auth.APIKey[q.APIKey]; k != nil && k.From.Query != "" {
				add("apiKey %s is taken out of the query", q.APIKey)
			}
		case q.JWT != "":
			p := c.Auth.JWT[q.JWT]
			if p == nil {
				continue
			}
			surely = true
			if other, taken := issuers[p.Issuer]; taken && other != p.Name {
				add("jwt %s and %s are of one issuer", other, p.Name)
			}
			issuers[p.Issuer], keeps[p.ForwardCredential] = p.Name, true
			whyToken(p, add)
			whyRequirement(q, add)
		}
	}
	if len(keeps) > 1 {
		add("one provider leaves the token to the backend, and another does not")
	}
	if !surely {
		add("no jwt is asked for")
	}
}

// allInShadow tells whether nothing of what a route asks for is in force.
func allInShadow(a *RouteAuth) bool {
	return len(a.AllOf) == 0 && !slices.ContainsFunc(a.AnyOf, func(q *Requirement) bool { return !q.InShadow() })
}

func whyToken(p *JWT, add func(string, ...any)) {
	if p.SecretEnv != "" {
		add("jwt %s has a secret, which is not given to Envoy", p.Name)
	}
	if p.CertificateBound {
		add("tokens of jwt %s are bound to certificates", p.Name)
	}
	if p.PlanClaim != "" {
		add("jwt %s names the caller's plan", p.Name)
	}
	if skew := p.ClockSkew; skew != 0 && time.Duration(skew) < leastSkew {
		add("clockSkew of jwt %s is below %s", p.Name, leastSkew)
	}
	if time.Duration(p.ClockSkew)%time.Second != 0 {
		add("clockSkew of jwt %s is not of whole seconds", p.Name)
	}
	for _, claim := range sorted(p.Forward) {
		if strings.Contains(claim, ".") {
			add("jwt %s forwards the claim %s, whose dot Envoy takes for a path", p.Name, claim)
		}
	}
}

func whyRequirement(q *Requirement, add func(string, ...any)) {
	if q.Rule != "" {
		if _, ok := rule.InEnvoy(q.Rule, "claims"); !ok {
			add("a rule reads what Envoy might read otherwise")
		}
	}
	for _, claim := range sorted(q.Claims) {
		if len(q.Claims[claim]) == 0 {
			add("no value of the claim %s will do", claim)
		}
	}
}
