package tokentest

import (
	"encoding/json"

	"github.com/gatewright/gatewright/config"
)

// The reasons for which good tokens do not open a route.
const (
	scopeMissing = "scope-missing"
	roleMissing  = "role-missing"
	claimMissing = "claim-missing"
	ruleDenied   = "rule-denied"
	ruleFailed   = "rule-failed"
)

// Demand is what a route asks of a token, and a token that meets it or does not.
type Demand struct {
	// Name says what is particular about it.
	Name string
	// Asks names the provider grouped, whose rolesClaim is groups, or none, for the usual one.
	Asks config.Requirement
	// Claims are those of the token that are not the usual ones (Issuer.Payload).
	Claims map[string]any
	// Reason is why the token is refused, as a denial says it; empty where it is not.
	Reason string
}

// Demands are what routes ask of tokens that hold.
func Demands() []Demand {
	return []Demand{
		{"any scope, one there", config.Requirement{AnyScope: []string{"x", "users:read"}}, nil, ""},
		{"any scope, in scp", config.Requirement{AnyScope: []string{"x"}}, map[string]any{"scp": []string{"x"}}, ""},
		{"any scope, none there", config.Requirement{AnyScope: []string{"x", "users"}}, nil, scopeMissing},
		{"any scope beside all", config.Requirement{Scopes: []string{"users:read"}, AnyScope: []string{"x"}}, nil, scopeMissing},
		{"scope as an array", config.Requirement{AnyScope: []string{"x"}}, map[string]any{"scope": []string{"x"}}, claimsInvalid},
		{"role in a list", config.Requirement{Roles: []string{"a", "b"}}, map[string]any{"roles": []string{"c", "b"}}, ""},
		{"role as a text", config.Requirement{Roles: []string{"b"}}, map[string]any{"roles": "b"}, ""},
		{"a text is one role", config.Requirement{Roles: []string{"b"}}, map[string]any{"roles": "a b"}, roleMissing},
		{"other roles", config.Requirement{Roles: []string{"b"}}, map[string]any{"roles": []string{"c"}}, roleMissing},
		{"no roles", config.Requirement{Roles: []string{"b"}}, nil, roleMissing},
		{"roles of a wrong type", config.Requirement{Roles: []string{"b"}}, map[string]any{"roles": map[string]any{"b": true}}, claimsInvalid},
		{"roles that are null", config.Requirement{Roles: []string{"b"}}, map[string]any{"roles": json.RawMessage("null")}, claimsInvalid},
		{"roles of mixed types", config.Requirement{Roles: []string{"b"}}, map[string]any{"roles": []any{"b", 1}}, claimsInvalid},
		{"roles in another claim", config.Requirement{JWT: "grouped", Roles: []string{"b"}}, map[string]any{"groups": []string{"b"}}, ""},
		{"roles in the usual one", config.Requirement{JWT: "grouped", Roles: []string{"b"}}, map[string]any{"roles": []string{"b"}}, roleMissing},
		{"required claim there", config.Requirement{RequiredClaims: []string{"jti", "n"}}, map[string]any{"jti": "1", "n": 0}, ""},
		{"required claim missing", config.Requirement{RequiredClaims: []string{"jti"}}, nil, claimMissing},
		{"required claim null", config.Requirement{RequiredClaims: []string{"jti"}}, map[string]any{"jti": json.RawMessage("null")}, claimMissing},
		{"rule holds", config.Requirement{Rule: `claims.tier == "gold" && request.method != "DELETE"`}, map[string]any{"tier": "gold"}, ""},
		{"rule does not hold", config.Requirement{Rule: `claims.tier == "gold"`}, map[string]any{"tier": "tin"}, ruleDenied},
		{"rule asks for what is absent", config.Requirement{Rule: `claims.tier == "gold"`}, nil, ruleFailed},
		{"rule beside a scope", config.Requirement{Scopes: []string{"x"}, Rule: "true"}, nil, scopeMissing},
	}
}
