package diff

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/routing"
)

// side is one of the two gateways.
type side struct {
	config *config.Config
	table  *routing.Table // nil before open
	byName map[string]*config.Route
	judged map[*config.Route]*judgement // as far as they were asked for
}

func newSide(c *config.Config) *side {
	s := &side{config: c, byName: map[string]*config.Route{}, judged: map[*config.Route]*judgement{}}
	for _, r := range c.Routes {
		s.byName[r.Name] = r
	}
	return s
}

// open builds the route table, which takes its time.
func (s *side) open() { s.table = routing.NewTable(s.config) }

// judgement is what becomes of the requests of a route. Two that are equal in
// route, policy and does are the same.
type judgement struct {
	// route is the name; empty is that no route takes the request.
	route string
	asks  *authz.Policy // nil without a route
	// policy and does are the contents of what is asked and of what is done.
	policy, does string
	goes         string // does, in words
}

func (j *judgement) same(other *judgement) bool {
	return j.route == other.route && j.policy == other.policy && j.does == other.does
}

// noRoute is the judgement of what no route takes.
var noRoute = &judgement{goes: "404"}

// judge is what becomes of the requests of a route, which may be nil.
func (s *side) judge(r *config.Route) *judgement {
	if r == nil {
		return noRoute
	}
	if j := s.judged[r]; j != nil {
		return j
	}
	p := ordered(authz.NewPolicy(s.config, r, false))
	j := &judgement{route: r.Name, asks: p, policy: p.Hash(), does: done(r), goes: goes(r)}
	s.judged[r] = j
	return j
}

// ordered is a policy whose lists are sorted where their order means nothing.
func ordered(p *authz.Policy) *authz.Policy {
	out := &authz.Policy{
		AnyOf: orderedRequirements(p.AnyOf), AllOf: orderedRequirements(p.AllOf), Shadow: orderedRequirements(p.Shadow),
		AllowAnonymous: p.AllowAnonymous, Limits: slices.Clone(p.Limits), Validation: p.Validation,
	}
	slices.SortFunc(out.Limits, func(a, b *config.Limit) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func orderedRequirements(all []authz.Requirement) []authz.Requirement {
	out := slices.Clone(all)
	for i := range out {
		q := &out[i]
		q.Scopes, q.Permissions = slices.Sorted(slices.Values(q.Scopes)), slices.Sorted(slices.Values(q.Permissions))
		q.AnyScope, q.Roles = slices.Sorted(slices.Values(q.AnyScope)), slices.Sorted(slices.Values(q.Roles))
		q.RequiredClaims = slices.Sorted(slices.Values(q.RequiredClaims))
		claims := make(map[string][]string, len(q.Claims))
		for name, values := range q.Claims {
			claims[name] = slices.Sorted(slices.Values(values))
		}
		q.Claims = claims
		if q.JWT != nil {
			provider := *q.JWT
			provider.Audiences = slices.Sorted(slices.Values(provider.Audiences))
			provider.Algorithms = slices.Sorted(slices.Values(provider.Algorithms))
			q.JWT = &provider
		}
		if q.Introspection != nil {
			provider := *q.Introspection
			provider.Audiences = slices.Sorted(slices.Values(provider.Audiences))
			q.Introspection = &provider
		}
		if q.ClientCertificate != nil {
			provider := *q.ClientCertificate
			for _, list := range []*[]string{&provider.URIs, &provider.DNSNames, &provider.Emails, &provider.CommonNames, &provider.Organizations} {
				*list = slices.Sorted(slices.Values(*list))
			}
			q.ClientCertificate = &provider
		}
	}
	return out
}

// done is what a route does with requests that pass: where they go, or what they
// are answered with.
func done(r *config.Route) string {
	to := map[string]*int{}
	for _, d := range r.To {
		to[d.Backend] = d.Weight
	}
	text, _ := json.Marshal([]any{to, r.Pin, r.Sticky, r.Rewrite, r.Redirect, r.Respond, r.GRPCTranscode}) // plain values have an encoding
	return string(text)
}

func goes(r *config.Route) string {
	switch {
	case r.Redirect != nil:
		return fmt.Sprintf("a %d redirect", cmp.Or(r.Redirect.Status, 302))
	case r.Respond != nil:
		return fmt.Sprintf("answer %d", r.Respond.Status)
	}
	var all []string
	for _, d := range r.To {
		text := d.Backend
		if len(r.To) > 1 && d.Weight != nil {
			text = fmt.Sprintf("%s (%d)", text, *d.Weight)
		}
		all = append(all, text)
	}
	text := "to " + strings.Join(slices.Sorted(slices.Values(all)), ", ")
	if r.GRPCTranscode != nil {
		text += " as calls of " + strings.Join(r.GRPCTranscode.Services, ", ")
	}
	if r.Rewrite != nil {
		text += " as " + strings.TrimSpace(r.Rewrite.Host+" "+r.Rewrite.Path)
	}
	return text
}

// String is a judgement in words.
func (j *judgement) String() string {
	if j.asks == nil {
		return "no route (404)"
	}
	text := waysText(j.asks)
	if len(j.asks.Shadow) > 0 {
		text += ", in shadow " + waysText(j.asks.InForce())
	}
	for _, l := range j.asks.Limits {
		text += ", limit " + l.Name
	}
	if v := j.asks.Validation; v != nil {
		text += ", as " + v.Document + " says"
		if v.Shadow {
			text += " (in shadow)"
		}
	}
	return fmt.Sprintf("route %s (%s), %s", j.route, text, j.goes)
}

// waysText is what a policy asks for.
func waysText(p *authz.Policy) string {
	if p.Public() {
		return "public"
	}
	return askedText(each(p.AnyOf, wayText), each(p.AllOf, wayText), p.AllowAnonymous)
}

func wayText(q *authz.Requirement) string {
	named := &config.Requirement{Scopes: q.Scopes, AnyScope: q.AnyScope, Roles: q.Roles, RequiredClaims: q.RequiredClaims, Claims: q.Claims, Permissions: q.Permissions, Rule: q.Rule}
	switch {
	case q.JWT != nil:
		named.JWT = q.JWT.Name
	case q.Introspection != nil:
		named.Introspection = q.Introspection.Name
	case q.APIKey != nil:
		named.APIKey = q.APIKey.Name
	case q.ClientCertificate != nil:
		named.ClientCertificate = q.ClientCertificate.Name
	}
	return requirementText(named)
}
