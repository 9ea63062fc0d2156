package authz

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// Three issuers that sign with the same keys, and five routes: a token opens
// the routes of its own issuer, and of these the ones whose demands it meets.
func TestThreeIssuersFiveRoutes(t *testing.T) {
	t.Parallel()
	providers := make([]*config.JWT, 3)
	for i := range providers {
		providers[i] = mainJWT()
		providers[i].Name, providers[i].Issuer = fmt.Sprint("p", i), fmt.Sprintf("https://id%d.example.com/", i)
		providers[i].Audiences = []string{fmt.Sprint("api", i)}
	}
	providers[1].TokenType = "at+jwt"
	g := newGate(t, keySetsFor(t, providers...), nil)
	only := func(qs ...*config.Requirement) string {
		return g.publish(policyOf(&config.RouteAuth{AnyOf: qs}, providers...))
	}
	routes := []string{
		only(&config.Requirement{JWT: "p0"}),
		only(&config.Requirement{JWT: "p1"}),
		only(&config.Requirement{JWT: "p2", Scopes: []string{"orders:write"}}),
		only(&config.Requirement{JWT: "p0"}, &config.Requirement{JWT: "p1"}, &config.Requirement{JWT: "p2"}),
		only(&config.Requirement{JWT: "p0", AnyScope: []string{"users:read"}}, &config.Requirement{JWT: "p2", Rule: `claims.azp == "web"`}),
	}
	const (
		ok, other, aud = ReasonAllowed, ReasonTokenIssuerMismatch, ReasonTokenAudienceMismatch
		typ, scope     = ReasonTokenHeaderNotAllowed, ReasonScopeMissing
	)
	for name, c := range map[string]struct {
		issuer  int
		typ     any
		changed map[string]any
		want    [5]Reason
	}{
		"of 0":                       {0, "JWT", nil, [5]Reason{ok, typ, other, ok, ok}},
		"of 1":                       {1, "at+jwt", nil, [5]Reason{other, ok, other, ok, other}},
		"of 1, an id token":          {1, "JWT", nil, [5]Reason{other, typ, other, typ, other}},
		"of 2":                       {2, nil, map[string]any{"azp": "web"}, [5]Reason{other, typ, ok, ok, ok}},
		"of 2, by another client":    {2, nil, map[string]any{"azp": "x"}, [5]Reason{other, typ, ok, ok, ReasonRuleDenied}},
		"of 2, with other scopes":    {2, nil, map[string]any{"azp": "web", "scope": "users:read"}, [5]Reason{other, typ, scope, ok, ok}},
		"of 0, without its scope":    {0, nil, map[string]any{"scope": "x"}, [5]Reason{ok, typ, other, ok, scope}},
		"of 0, for the audience 2":   {0, nil, map[string]any{"aud": "api2"}, [5]Reason{aud, typ, other, aud, aud}},
		"of 2, a logout token":       {2, "logout+jwt", map[string]any{"azp": "web"}, [5]Reason{typ, typ, typ, typ, typ}},
		"of 0, without the slash":    {0, nil, map[string]any{"iss": "https://id0.example.com"}, [5]Reason{other, typ, other, typ, other}},
		"of nobody who is known":     {0, nil, map[string]any{"iss": "https://id9.example.com/"}, [5]Reason{other, typ, other, typ, other}},
		"of two, in a list":          {0, nil, map[string]any{"iss": []string{"https://id0.example.com/", "https://id1.example.com/"}}, [5]Reason{ReasonTokenClaimsInvalid, typ, ReasonTokenClaimsInvalid, ReasonTokenClaimsInvalid, ReasonTokenClaimsInvalid}},
		"of 1, for all audiences":    {1, "at+jwt", map[string]any{"aud": []string{"api0", "api1", "api2"}}, [5]Reason{other, ok, other, ok, other}},
		"of 0, with a scope as list": {0, nil, map[string]any{"scope": []string{"users:read"}}, [5]Reason{ReasonTokenClaimsInvalid, typ, other, ReasonTokenClaimsInvalid, ReasonTokenClaimsInvalid}},
	} {
		claims := map[string]any{"iss": providers[c.issuer].Issuer, "aud": providers[c.issuer].Audiences[0]}
		for claim, value := range c.changed {
			claims[claim] = value
		}
		raw := rsaSigner().sign(headerOfType(c.typ), payloadOf(claims))
		for i, hash := range routes {
			if r := g.check(t, ask(hash, "/", withToken(raw))); reasonOf(r) != c.want[i] || allows(r) != (c.want[i] == ok) {
				t.Errorf("%s on route %d: %s, want %s", name, i, reasonOf(r), c.want[i])
			}
		}
	}
}

// headerOfType is the RSA signer's header with a typ, or without where it is nil.
func headerOfType(typ any) string {
	var header map[string]any
	if err := json.Unmarshal([]byte(rsaSigner().header()), &header); err != nil {
		panic(err)
	}
	delete(header, "typ")
	if typ != nil {
		header["typ"] = typ
	}
	return string(must(json.Marshal(header)))
}
