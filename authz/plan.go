package authz

import (
	"cmp"

	"github.com/gatewright/gatewright/config"
)

// Tenant is what is agreed on with a customer, and so holds for all callers of
// that tenant. The zero value is nothing.
type Tenant struct {
	// Plan is the name of the customer's plan; empty is none.
	Plan string
	// Limits are the customer's own numbers for limits, by their names. They go
	// before every plan. It is not written.
	Limits map[string]config.Numbers
}

// terms are what sizes the limits of one caller: the plan that the credential
// names, and what is agreed on with the tenant.
type terms struct {
	own    string
	tenant Tenant
}

func (s *Server) termsOf(id *Identity) terms {
	t := terms{own: id.Plan}
	if id.Tenant != "" && s.tenant != nil {
		t.tenant = s.tenant(id.Tenant)
	}
	return t
}

// plan is the one that the caller is in: the credential's own, or else the
// tenant's.
func (t terms) plan() string { return cmp.Or(t.own, t.tenant.Plan) }

// allowance is what a limit is for the caller. Where callers share a bucket as
// callers of one tenant, it has the size of the tenant's plan, and who comes with
// a plan of the credential's own is counted apart from it: one bucket cannot have
// two sizes, and a small plan of one key would cut what the others have.
func (t terms) allowance(l *config.Limit) config.Allowance {
	if !l.CountsCustomers() {
		return config.Allowance{}
	}
	// Numbers of another algorithm than the limit's, which it may have had, say nothing.
	if own, ok := t.tenant.Limits[l.Name]; ok && l.Own().Takes(own) == nil {
		return config.Allowance{Own: own}
	}
	plan, common := named(l, t.plan()), named(l, t.tenant.Plan)
	return config.Allowance{
		Plan:  plan,
		Apart: t.own != "" && t.own != t.tenant.Plan && (plan != "" || common != "") && !l.CountsCallers(),
	}
}

// named is the plan if the limit names it, and else none: the limit is then for
// the caller what it is for everybody.
func named(l *config.Limit, plan string) string {
	if l.Plans[plan] == nil {
		return ""
	}
	return plan
}

// plan is the caller's in the claim that the provider says. ok is false where the
// claim is there and is no text.
func (c claims) plan(q *Requirement) (plan string, ok bool) {
	claim := q.planClaim()
	if claim == "" {
		return "", true
	}
	return c.text(claim)
}

// planClaim is the claim that names the plans of the provider's callers, if any.
func (q *Requirement) planClaim() string {
	switch {
	case q.JWT != nil:
		return q.JWT.PlanClaim
	case q.Introspection != nil:
		return q.Introspection.PlanClaim
	}
	return ""
}

// agreed are the terms of the caller of a request to a limited route, and what is
// told of them.
func (s *Server) agreed(p *Policy, v *Verdict) terms {
	t := s.termsOf(&v.Identity)
	v.plan = t.plan()
	if len(p.Limits) > 0 && s.plans.observe(v.plan) {
		s.log.Warn("no limit of the config names the plan of a caller, who has the limits that everybody has",
			"plan", validText(shownPlan(v.plan)), "tenant", v.Identity.Tenant, "provider", v.Identity.Provider)
	}
	return t
}
