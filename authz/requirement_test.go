package authz

import (
	"cmp"
	"maps"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/tokentest"
)

// policyOf is the policy of a route, as NewPolicy makes it.
func policyOf(auth *config.RouteAuth, providers ...*config.JWT) *Policy {
	c := &config.Config{Auth: config.Providers{JWT: map[string]*config.JWT{}, APIKey: map[string]*config.APIKey{"partners": partnersKey()}}}
	for _, p := range providers {
		c.Auth.JWT[p.Name] = p
	}
	return NewPolicy(c, &config.Route{Name: "get-users", Auth: auth}, false)
}

func TestWhatATokenMustCarry(t *testing.T) {
	t.Parallel()
	main := mainJWT()
	grouped := mainJWT()
	grouped.Name, grouped.RolesClaim = "grouped", "groups"
	g := newGate(t, keySetsFor(t, main, grouped), nil)
	type demand struct {
		asks   config.Requirement
		claims map[string]any
		want   Reason
	}
	demands := map[string]demand{
		"rule on the request": {config.Requirement{Rule: `request.path == "/users" && request.query.a == ["1"] && request.headers["x-plan"] == "a,b"` +
			` && !("x-user-id" in request.headers) && request.host == "api.example.com" && claims.exp > 0`}, nil, ReasonAllowed},
	}
	for _, d := range tokentest.Demands() {
		demands[d.Name] = demand{d.Asks, d.Claims, cmp.Or(Reason(d.Reason), ReasonAllowed)}
	}
	for name, c := range demands {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asks := c.asks
			if asks.JWT == "" {
				asks.JWT = "main"
			}
			p := policyOf(&config.RouteAuth{AnyOf: []*config.Requirement{&asks}}, main, grouped)
			s := New(Options{Policies: knownPolicies{p.Hash(): p}, KeySets: g.server.keySets, Clock: g.server.clock})
			m := ask(p.Hash(), "/users?a=1", withToken(rsaSigner().token(c.claims)), line{"X-Plan", "a"}, line{"x-plan", "b"})
			m.Attributes.Request.Http.Host = "API.example.com:8443"
			r, err := s.Check(t.Context(), m)
			if err != nil || reasonOf(r) != c.want || allows(r) != (c.want == ReasonAllowed) {
				t.Errorf("%v, %v; want %s", r, err, c.want)
			}
		})
	}
}

func TestRuleOfAnAPIKey(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil, nil)
	for text, want := range map[string]Reason{
		`key.tenant == "globex" && key.owner == "bob" && key.id == "k1" && "users:read" in key.permissions`: ReasonAllowed,
		`key.tenant == "acme"`:           ReasonRuleDenied,
		`request.headers["x"] == "gold"`: ReasonRuleFailed,
	} {
		hash := g.publish(policyOf(&config.RouteAuth{AnyOf: []*config.Requirement{{APIKey: "partners", Rule: text}}}))
		if r := g.check(t, ask(hash, "/", withKey("gw_good"))); reasonOf(r) != want {
			t.Errorf("%s: %v; want %s", text, r, want)
		}
	}
	// No valid config has such a rule. It must not count as none.
	hash := g.publish(&Policy{AnyOf: []Requirement{{APIKey: partnersKey(), Rule: "true"}}})
	if r := g.check(t, ask(hash, "/", withKey("gw_good"))); allows(r) || reasonOf(r) != ReasonInternal {
		t.Errorf("a rule that is not compiled: %v", r)
	}
	bad := policyOf(&config.RouteAuth{AnyOf: []*config.Requirement{{APIKey: "partners", Rule: "tru"}}})
	if bad.AnyOf[0].compiled != nil || bad.AnyOf[0].Rule == "" {
		t.Errorf("a rule that cannot be compiled: %+v", bad.AnyOf[0])
	}
}

// A credential that is there and bad is refused, never taken for none.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	main := mainJWT()
	g := newGate(t, keySetsFor(t, main), nil)
	auth := &config.RouteAuth{AnyOf: []*config.Requirement{{JWT: "main", Scopes: []string{"users:read"}}, {APIKey: "partners"}}, AllowAnonymous: true}
	hash := g.publish(policyOf(auth, main))
	for name, c := range map[string]struct {
		lines []line
		want  Reason
		user  string
	}{
		"nothing":            {nil, ReasonAllowed, ""},
		"empty headers":      {[]line{{"authorization", ""}, withKey("")}, ReasonAllowed, ""},
		"a good token":       {[]line{withToken(rsaSigner().token(nil))}, ReasonAllowed, "alice"},
		"a good key":         {[]line{withKey("gw_good")}, ReasonAllowed, "bob"},
		"a narrow token":     {[]line{withToken(rsaSigner().token(map[string]any{"scope": ""}))}, ReasonScopeMissing, "alice"},
		"an expired token":   {[]line{withToken(rsaSigner().token(map[string]any{"exp": 1}))}, ReasonTokenExpired, ""},
		"no token at all":    {[]line{withToken("")}, ReasonTokenMalformed, ""},
		"a word":             {[]line{withToken("x")}, ReasonTokenMalformed, ""},
		"another scheme":     {[]line{{"authorization", "Basic eDp5"}}, ReasonCredentialMissing, ""},
		"a revoked key":      {[]line{withKey("gw_revoked")}, ReasonAPIKeyRevoked, ""},
		"an unknown key":     {[]line{withKey("x")}, ReasonAPIKeyInvalid, ""},
		"two tokens":         {[]line{withToken("a"), withToken("b")}, ReasonDuplicateCredential, ""},
		"its own X-User-ID":  {[]line{{"x-user-id", "admin"}}, ReasonAllowed, ""},
		"good key, bad word": {[]line{withToken("x"), withKey("gw_good")}, ReasonAllowed, "bob"},
	} {
		for form, m := range map[string]*authv3.CheckRequest{"lines": ask(hash, "/", c.lines...), "joined": askJoined(hash, "/", c.lines...)} {
			r := g.check(t, m)
			user := r.GetDynamicMetadata().GetFields()["user"].GetStringValue()
			if reasonOf(r) != c.want || user != c.user {
				t.Errorf("%s (%s): %v; want %s of %q", name, form, r, c.want, c.user)
			}
			if name == "its own X-User-ID" {
				removed := map[string]bool{}
				for _, h := range r.GetOkResponse().GetHeadersToRemove() {
					removed[h] = true
				}
				if want := map[string]bool{"authorization": true, "x-api-key": true, "x-user-id": true, "x-user-role": true, "x-tenant-id": true}; !maps.Equal(removed, want) {
					t.Errorf("removed %v, want %v", removed, want)
				}
			}
		}
	}
	closed := *auth
	closed.AllowAnonymous = false
	if r := g.check(t, ask(g.publish(policyOf(&closed, main)), "/")); reasonOf(r) != ReasonCredentialMissing {
		t.Errorf("without allowAnonymous: %v", r)
	}
}

func TestTokenType(t *testing.T) {
	t.Parallel()
	access := mainJWT()
	access.TokenType = "application/AT+jwt"
	foreign := mainJWT()
	foreign.TokenType = "vnd.example+jwt"
	for typ, want := range map[string][3]bool{
		"":                            {true, false, false},
		"JWT":                         {true, false, false},
		"jwt":                         {true, false, false},
		"application/jwt":             {true, false, false},
		"at+jwt":                      {true, true, false},
		"Application/At+JWT":          {true, true, false},
		"application/vnd.example+jwt": {false, false, true},
		"logout+jwt":                  {false, false, false},
		"application/":                {false, false, false},
		"application/x/at+jwt":        {false, false, false},
	} {
		for i, provider := range []*config.JWT{mainJWT(), access, foreign} {
			tok := token{typ: typ, hasTyp: typ != ""}
			if got := typAllowed(provider, tok); got != want[i] {
				t.Errorf("typ %q for %q: %t", typ, provider.TokenType, got)
			}
		}
	}
	if typAllowed(mainJWT(), token{hasTyp: true}) {
		t.Error("an empty typ is no type")
	}
}
