package authz

import (
	"slices"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// threeKinds is the policy of a route that asks for tokens, for keys of devices
// and for the partners' keys.
func threeKinds(auth *config.RouteAuth) *Policy {
	c := &config.Config{Auth: config.Providers{
		JWT:    map[string]*config.JWT{"main": mainJWT()},
		APIKey: map[string]*config.APIKey{"partners": partnersKey(), "devices": devicesKey()},
	}}
	return NewPolicy(c, &config.Route{Name: "get-users", Auth: auth}, false)
}

// Where there are requirements of all three kinds, anyOf and allOf decide, and
// what is in shadow is judged with allOf beside it. Where anyOf has none but those
// in shadow, allOf decides, and names the caller.
func TestShadowBesideAllOf(t *testing.T) {
	t.Parallel()
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	g.store.records["gw_alice"], g.store.states["gw_alice"] = APIKeyRecord{ID: "k4", Owner: "alice"}, Valid
	token, device := &config.Requirement{JWT: "main"}, &config.Requirement{APIKey: "devices"}
	key := inShadow(config.Requirement{APIKey: "partners"})
	three := threeKinds(&config.RouteAuth{AnyOf: append(slices.Clone(key), token), AllOf: []*config.Requirement{device}})
	open := threeKinds(&config.RouteAuth{AnyOf: append(slices.Clone(key), token), AllOf: []*config.Requirement{device}, AllowAnonymous: true})
	all := threeKinds(&config.RouteAuth{AnyOf: key, AllOf: []*config.Requirement{token, device}})
	all.Limits = []*config.Limit{limitBy("per-user", "user")}
	alone := threeKinds(&config.RouteAuth{AnyOf: key})

	bob, alices := ofBob(nil), withKey("gw_alice")
	for name, c := range map[string]struct {
		policy *Policy
		lines  []line
		want   Reason
		shadow Reason
	}{
		"all of it":                       {three, []line{bob, withDevice("gw_bare"), withKey("gw_good")}, ReasonAllowed, ReasonAllowed},
		"no key":                          {three, []line{bob, withDevice("gw_bare")}, ReasonAllowed, ReasonCredentialMissing},
		"the key of another":              {three, []line{bob, withDevice("gw_good"), alices}, ReasonAllowed, ReasonIdentityMismatch},
		"a bad key":                       {three, []line{bob, withDevice("gw_bare"), withKey("gw_revoked")}, ReasonAllowed, ReasonAPIKeyRevoked},
		"no device":                       {three, []line{bob, withKey("gw_good")}, ReasonCredentialMissing, ReasonCredentialMissing},
		"no token":                        {three, []line{withDevice("gw_bare"), withKey("gw_good")}, ReasonCredentialMissing, ReasonAllowed},
		"nothing":                         {three, nil, ReasonCredentialMissing, ReasonCredentialMissing},
		"nothing, where nobody may":       {open, nil, ReasonAllowed, ReasonAllowed},
		"the key alone, where nobody may": {open, []line{withKey("gw_good")}, ReasonAllowed, ReasonCredentialMissing},
		"half, where nobody may":          {open, []line{bob}, ReasonCredentialMissing, ReasonAllowed}, // there, no token is looked for
		"any in shadow":                   {all, []line{bob, withDevice("gw_bare"), withKey("gw_good")}, ReasonAllowed, ReasonAllowed},
		"any in shadow, no key":           {all, []line{bob, withDevice("gw_bare")}, ReasonAllowed, ReasonCredentialMissing},
		"any in shadow, another's key":    {all, []line{bob, withDevice("gw_bare"), alices}, ReasonAllowed, ReasonIdentityMismatch},
		"any in shadow, not all":          {all, []line{withDevice("gw_bare"), withKey("gw_good")}, ReasonCredentialMissing, ReasonCredentialMissing},
		"any in shadow, the key alone":    {all, []line{withKey("gw_good")}, ReasonCredentialMissing, ReasonCredentialMissing},
		"any in shadow, nothing":          {all, nil, ReasonCredentialMissing, ReasonCredentialMissing},
		"only shadow, nothing":            {alone, nil, ReasonAllowed, ReasonCredentialMissing},
	} {
		r := g.check(t, ask(g.publish(c.policy), "/", c.lines...))
		shadow := shadowOf(r)
		if shadow == "" {
			shadow = ReasonAllowed
		}
		if reasonOf(r) != c.want || allows(r) != (c.want == ReasonAllowed) || shadow != c.shadow {
			t.Errorf("%s: %s (allows %t), in shadow %s; want %s, %s", name, reasonOf(r), allows(r), shadow, c.want, c.shadow)
		}
		if removed := r.GetOkResponse().GetHeadersToRemove(); allows(r) && !slices.Contains(removed, "x-api-key") {
			t.Errorf("%s: the backend sees the key: removes %v", name, removed)
		}
		if user := headersOf(r.GetOkResponse().GetHeaders())["x-user-id"]; allows(r) && slices.Contains(c.lines, bob) != (user == "bob") {
			t.Errorf("%s: the caller is %q", name, user)
		}
		asked := Examined{Route: "get-users", Method: "GET", Path: "/"}
		for _, l := range c.lines {
			asked.Headers = append(asked.Headers, [2]string{l.name, l.value})
		}
		x := g.server.Examine(t.Context(), c.policy, asked)
		if !comesTo(x, c.want) || x.Shadow == nil || !comesTo(*x.Shadow, c.shadow) {
			t.Errorf("%s: examined %+v, in shadow %+v", name, x, x.Shadow)
		}
	}
	for _, taken := range g.limiter.taken {
		if taken[0].Key[0] != "main:bob" {
			t.Errorf("counts %q", taken[0].Key)
		}
	}
}

// comesTo tells whether an examination ends so.
func comesTo(x Examination, want Reason) bool {
	denied, ok := x.Overall()
	if denied != nil {
		return denied.Reason == want
	}
	return ok && want == ReasonAllowed
}

// The three kinds are told apart in the hash, and nothing becomes public that
// does not say so: not by want of requirements, nor by shadow in allOf, which
// validation refuses.
func TestWhichKindsProtect(t *testing.T) {
	t.Parallel()
	key := []*config.Requirement{{APIKey: "partners"}}
	shadow := inShadow(*key[0])
	seen := map[string]string{}
	for name, c := range map[string]struct {
		auth           *config.RouteAuth
		public, needed bool
	}{
		"public":               {&config.RouteAuth{Public: true}, true, false},
		"no auth":              {nil, false, true},
		"any":                  {&config.RouteAuth{AnyOf: key}, false, true},
		"all":                  {&config.RouteAuth{AllOf: key}, false, true},
		"shadow":               {&config.RouteAuth{AnyOf: shadow}, true, true},
		"any and all":          {&config.RouteAuth{AnyOf: key, AllOf: key}, false, true},
		"shadow and all":       {&config.RouteAuth{AnyOf: shadow, AllOf: key}, false, true},
		"any, shadow":          {&config.RouteAuth{AnyOf: append(shadow, key...)}, false, true},
		"any, shadow, and all": {&config.RouteAuth{AnyOf: append(shadow, key...), AllOf: key}, false, true},
	} {
		p := threeKinds(c.auth)
		if p.Public() != c.public || p.Needed() != c.needed {
			t.Errorf("%s: public %t, needed %t", name, p.Public(), p.Needed())
		}
		if other := seen[p.Hash()]; other != "" {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[p.Hash()] = name
	}
	if seen[threeKinds(&config.RouteAuth{}).Hash()] != "no auth" {
		t.Error("a route whose auth names nothing is not the one without auth")
	}
	if seen[threeKinds(&config.RouteAuth{AllOf: shadow}).Hash()] != "all" {
		t.Error("shadow in allOf is not enforced")
	}
}
