package diff

import (
	"testing"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// Whoever satisfies the first requirement satisfies the second, or may not.
func TestAsksAtLeast(t *testing.T) {
	t.Parallel()
	with := func(typ string) *config.JWT { return &config.JWT{Name: "main", Issuer: "i", TokenType: typ} }
	main := with("")
	secrets := func(env, previous string) authz.Requirement {
		return authz.Requirement{JWT: &config.JWT{Name: "main", Issuer: "i", SecretEnv: env, PreviousSecretEnv: previous}}
	}
	for name, c := range map[string]struct {
		q, other authz.Requirement
		want     bool
	}{
		"one scope of fewer":      {authz.Requirement{AnyScope: []string{"a"}}, authz.Requirement{AnyScope: []string{"a", "b"}}, true},
		"one scope of more":       {authz.Requirement{AnyScope: []string{"a", "b"}}, authz.Requirement{AnyScope: []string{"a"}}, false},
		"a scope that is one":     {authz.Requirement{Scopes: []string{"a"}}, authz.Requirement{AnyScope: []string{"a", "b"}}, true},
		"no scope any more":       {authz.Requirement{}, authz.Requirement{AnyScope: []string{"a"}}, false},
		"fewer roles":             {authz.Requirement{Roles: []string{"a"}}, authz.Requirement{Roles: []string{"a", "b"}}, true},
		"no roles any more":       {authz.Requirement{}, authz.Requirement{Roles: []string{"a"}}, false},
		"a claim with a value":    {authz.Requirement{Claims: map[string][]string{"c": {"v"}}}, authz.Requirement{RequiredClaims: []string{"c"}}, true},
		"no claim any more":       {authz.Requirement{}, authz.Requirement{RequiredClaims: []string{"c"}}, false},
		"the same rule":           {authz.Requirement{Rule: "true"}, authz.Requirement{Rule: "true"}, true},
		"another rule":            {authz.Requirement{Rule: "true"}, authz.Requirement{Rule: "false"}, false},
		"a rule more":             {authz.Requirement{Rule: "true"}, authz.Requirement{}, true},
		"a type within the usual": {authz.Requirement{JWT: with("application/AT+jwt")}, authz.Requirement{}, true},
		"a type of its own":       {authz.Requirement{JWT: with("x+jwt")}, authz.Requirement{}, false},
		"another secret":          {secrets("NEW", ""), secrets("OLD", ""), false},
		"a secret more":           {secrets("NEW", "OLD"), secrets("NEW", ""), false},
		"a secret fewer":          {secrets("NEW", ""), secrets("NEW", "OLD"), true},
		"a secret for keys":       {secrets("NEW", ""), authz.Requirement{}, false},
		"no type any more":        {authz.Requirement{}, authz.Requirement{JWT: with("at+jwt")}, false},
	} {
		for _, q := range []*authz.Requirement{&c.q, &c.other} {
			if q.JWT == nil {
				q.JWT = main
			}
		}
		if got := asksAtLeast(&c.q, &c.other); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	open := &authz.Policy{AnyOf: []authz.Requirement{{JWT: main}}, AllowAnonymous: true}
	closed := &authz.Policy{AnyOf: open.AnyOf}
	if len(newWaysIn(closed, open)) != 1 || len(newWaysIn(open, closed)) != 0 {
		t.Errorf("anonymous: %v, %v", newWaysIn(closed, open), newWaysIn(open, closed))
	}
}
