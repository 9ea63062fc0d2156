package authz

import (
	"cmp"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// defaultRolesClaim is where roles are when a provider does not say.
const defaultRolesClaim = "roles"

func checkAnyScope(c claims, needed []string) *refusal {
	if len(needed) == 0 {
		return nil
	}
	if slices.ContainsFunc(needed, c.grants) {
		return nil
	}
	return refuseWith(ReasonScopeMissing, "The token has none of the scopes "+strings.Join(needed, ", ")+".")
}

func checkRoles(c claims, q *Requirement) *refusal {
	if len(q.Roles) == 0 {
		return nil
	}
	roles, ok := c.roles(q.JWT)
	switch {
	case !ok:
		return refuse(ReasonTokenClaimsInvalid)
	case !containsAny(roles, q.Roles):
		return refuseWith(ReasonRoleMissing, "The caller has none of the roles "+strings.Join(q.Roles, ", ")+".")
	}
	return nil
}

// roles are the caller's, in the claim that the provider says: a text, which is
// one role whatever is in it, or an array of nothing but texts. ok is false
// where the claim is of another type.
func (c claims) roles(provider *config.JWT) (roles []string, ok bool) {
	value, there := c[cmp.Or(provider.RolesClaim, defaultRolesClaim)]
	if !there {
		return nil, true
	}
	return stringOrStrings(value)
}

func checkRequiredClaims(c claims, needed []string) *refusal {
	for _, name := range needed {
		if c[name] == nil {
			return refuseWith(ReasonClaimMissing, "The token lacks the claim "+name+".")
		}
	}
	return nil
}

func containsAny(granted, wanted []string) bool {
	return slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(granted, w) })
}
