package authz

import (
	"maps"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"pgregory.net/rapid"
)

// shop is a small config with one of everything that a policy is made of.
func shop() *config.Config {
	return &config.Config{
		Auth: config.Providers{
			JWT:    map[string]*config.JWT{"main": mainJWT()},
			APIKey: map[string]*config.APIKey{"partners": partnersKey()},
		},
		Limits: map[string]*config.Limit{
			"per-user": {
				Name: "per-user", Key: []config.KeyPart{config.KeyUser},
				TokenBucket: &config.TokenBucket{Capacity: 20, Refill: config.Rate{Events: 10, Per: time.Second}},
			},
			"per-ip": {
				Name: "per-ip", Key: []config.KeyPart{config.KeyClientIP},
				TokenBucket: &config.TokenBucket{Capacity: 200, Refill: config.Rate{Events: 100, Per: time.Second}},
			},
		},
	}
}

func shopRoute() *config.Route {
	return &config.Route{
		Name: "get-users",
		Auth: &config.RouteAuth{AnyOf: []*config.Requirement{
			{JWT: "main", Scopes: []string{"users:read"}, Claims: map[string][]string{"role": {"buyer", "admin"}, "level": {"7"}}},
			{APIKey: "partners", Permissions: []string{"users:read"}},
		}},
		Limits: []string{"per-user", "per-ip"},
	}
}

func TestNewPolicy(t *testing.T) {
	c := shop()
	p := NewPolicy(c, shopRoute(), false)
	if len(p.AnyOf) != 2 || p.AnyOf[0].JWT != c.Auth.JWT["main"] || p.AnyOf[0].APIKey != nil ||
		p.AnyOf[1].APIKey != c.Auth.APIKey["partners"] || p.AnyOf[1].JWT != nil {
		t.Errorf("requirements %+v", p.AnyOf)
	}
	if len(p.Limits) != 2 || p.Limits[0].Name != "per-user" || p.Limits[1].Name != "per-ip" {
		t.Errorf("limits %+v", p.Limits)
	}
	public := &config.Route{Name: "p", Auth: &config.RouteAuth{Public: true}}
	if p := NewPolicy(c, public, true); p.Needed() || p.LimitsInFilter {
		t.Errorf("a public route without limits: %+v", p)
	}
	public.Limits = []string{"per-ip"}
	if p := NewPolicy(c, public, true); !p.Needed() || !p.LimitsInFilter || len(p.AnyOf) != 0 {
		t.Errorf("a public route with limits: %+v", p)
	}
	// No valid config holds these. They must not turn out public.
	for name, auth := range map[string]*config.RouteAuth{"none": nil, "empty": {}, "unknown": {AnyOf: []*config.Requirement{{JWT: "x"}}}} {
		p := NewPolicy(c, &config.Route{Auth: auth}, false)
		if len(p.AnyOf) != 1 || p.AnyOf[0].JWT != nil || p.AnyOf[0].APIKey != nil || !p.Needed() {
			t.Errorf("auth %s: %+v", name, p)
		}
	}
}

func TestHashIsTheContent(t *testing.T) {
	want := NewPolicy(shop(), shopRoute(), false).Hash()
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(want) {
		t.Errorf("hash %q", want)
	}
	for range 100 { // maps are walked in another order each time
		if got := NewPolicy(shop(), shopRoute(), false).Hash(); got != want {
			t.Fatalf("got %s, then %s", want, got)
		}
	}
	route := shopRoute()
	route.Name, route.Timeout = "another", config.Duration(time.Second)
	if got := NewPolicy(shop(), route, false).Hash(); got != want {
		t.Error("what is not of the policy changed its hash")
	}
}

// Whatever differs between two policies, their hashes differ.
func TestEveryChangeShowsInTheHash(t *testing.T) {
	seen := map[string]string{NewPolicy(shop(), shopRoute(), false).Hash(): "unchanged"}
	for name, change := range map[string]func(*config.Config, *config.Route){
		"issuer":            func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].Issuer += "x" },
		"provider's name":   func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].Name = "x" },
		"audience":          func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].Audiences = []string{"x"} },
		"two audiences":     func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].Audiences = []string{"api", "x"} },
		"algorithms":        func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].Algorithms = []string{"ES256"} },
		"algorithms' order": func(c *config.Config, _ *config.Route) { slices.Reverse(c.Auth.JWT["main"].Algorithms) },
		"JWKS by file":      func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].JWKS = config.JWKS{File: "x"} },
		"JWKS by URL":       func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].JWKS = config.JWKS{URL: "x"} },
		"skew":              func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].ClockSkew = 1 },
		"forward":           func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].Forward["role"] = "X-Role" },
		"forward exchanged": func(c *config.Config, _ *config.Route) {
			c.Auth.JWT["main"].Forward = map[string]string{"sub": "X-User-Role", "role": "X-User-ID"}
		},
		"forward credential": func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].ForwardCredential = true },
		"forward key":        func(c *config.Config, _ *config.Route) { c.Auth.APIKey["partners"].ForwardCredential = true },
		"secret": func(c *config.Config, _ *config.Route) {
			c.Auth.JWT["main"].JWKS, c.Auth.JWT["main"].SecretEnv = config.JWKS{}, "S"
		},
		"key header":    func(c *config.Config, _ *config.Route) { c.Auth.APIKey["partners"].From.Header = "x" },
		"key query":     func(c *config.Config, _ *config.Route) { c.Auth.APIKey["partners"].From.Query = "x" },
		"capacity":      func(c *config.Config, _ *config.Route) { c.Limits["per-user"].TokenBucket.Capacity++ },
		"refill":        func(c *config.Config, _ *config.Route) { c.Limits["per-user"].TokenBucket.Refill.Events++ },
		"refill's time": func(c *config.Config, _ *config.Route) { c.Limits["per-user"].TokenBucket.Refill.Per++ },
		"limit's key":   func(c *config.Config, _ *config.Route) { c.Limits["per-user"].Key = []config.KeyPart{"user", "route"} },
		"limit's name":  func(c *config.Config, _ *config.Route) { c.Limits["per-user"].Name = "x" },
		"on failure":    func(c *config.Config, _ *config.Route) { c.Limits["per-user"].OnStoreFailure = config.FailDeny },
		"limits' order": func(_ *config.Config, r *config.Route) { slices.Reverse(r.Limits) },
		"one limit":     func(_ *config.Config, r *config.Route) { r.Limits = r.Limits[:1] },
		"no limit":      func(_ *config.Config, r *config.Route) { r.Limits = nil },
		"scope":         func(_ *config.Config, r *config.Route) { r.Auth.AnyOf[0].Scopes = []string{"users:write"} },
		"scopes":        func(_ *config.Config, r *config.Route) { r.Auth.AnyOf[0].Scopes = []string{"users", ":read"} },
		"no scope":      func(_ *config.Config, r *config.Route) { r.Auth.AnyOf[0].Scopes = nil },
		"claim":         func(_ *config.Config, r *config.Route) { r.Auth.AnyOf[0].Claims["role"] = []string{"buyer"} },
		"claim's name": func(_ *config.Config, r *config.Route) {
			r.Auth.AnyOf[0].Claims = map[string][]string{"rol": {"buyer", "admin"}, "level": {"7"}}
		},
		"token type":     func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].TokenType = "at+jwt" },
		"roles claim":    func(c *config.Config, _ *config.Route) { c.Auth.JWT["main"].RolesClaim = "groups" },
		"any scope":      func(_ *config.Config, r *config.Route) { r.Auth.AnyOf[0].AnyScope = []string{"x"} },
		"role":           func(_ *config.Config, r *config.Route) { r.Auth.AnyOf[0].Roles = []string{"x"} },
		"required claim": func(_ *config.Config, r *config.Route) { r.Auth.AnyOf[0].RequiredClaims = []string{"x"} },
		"rule":           func(_ *config.Config, r *config.Route) { r.Auth.AnyOf[0].Rule = "true" },
		"another rule":   func(_ *config.Config, r *config.Route) { r.Auth.AnyOf[0].Rule = "false" },
		"anonymous":      func(_ *config.Config, r *config.Route) { r.Auth.AllowAnonymous = true },
		"permission":     func(_ *config.Config, r *config.Route) { r.Auth.AnyOf[1].Permissions = nil },
		"order":          func(_ *config.Config, r *config.Route) { slices.Reverse(r.Auth.AnyOf) },
		"one of all":     func(_ *config.Config, r *config.Route) { r.Auth.AllOf = []*config.Requirement{{JWT: "main"}} },
		"two of all": func(_ *config.Config, r *config.Route) {
			r.Auth.AllOf = []*config.Requirement{{JWT: "main"}, {APIKey: "partners"}}
		},
		"order of all": func(_ *config.Config, r *config.Route) {
			r.Auth.AllOf = []*config.Requirement{{APIKey: "partners"}, {JWT: "main"}}
		},
		"all, not any":    func(_ *config.Config, r *config.Route) { r.Auth.AnyOf, r.Auth.AllOf = nil, r.Auth.AnyOf },
		"one requirement": func(_ *config.Config, r *config.Route) { r.Auth.AnyOf = r.Auth.AnyOf[:1] },
		"public":          func(_ *config.Config, r *config.Route) { r.Auth = &config.RouteAuth{Public: true} },
	} {
		c, r := shop(), shopRoute()
		change(c, r)
		hash := NewPolicy(c, r, false).Hash()
		if other, taken := seen[hash]; taken {
			t.Errorf("%q has the hash of %q", name, other)
		}
		seen[hash] = name
	}
	if hash := NewPolicy(shop(), shopRoute(), true).Hash(); seen[hash] != "" {
		t.Errorf("limits in the filter have the hash of %q", seen[hash])
	}
}

// The encoding is injective over strings of any bytes, and blind to the order
// of a map.
func TestHashIsInjective(t *testing.T) {
	words := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "ab", "\x00", "\xff", "s", "{}", "l"}), 0, 3)
	policy := rapid.Custom(func(t *rapid.T) *Policy {
		return &Policy{AnyOf: []Requirement{{
			Scopes:      words.Draw(t, "scopes"),
			Claims:      rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "ab"}), words, 0, 3).Draw(t, "claims"),
			Permissions: words.Draw(t, "permissions"),
		}}}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := policy.Draw(t, "a").AnyOf[0], policy.Draw(t, "b").AnyOf[0]
		same := slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.Permissions, b.Permissions) &&
			maps.EqualFunc(a.Claims, b.Claims, slices.Equal[[]string])
		if got := contentHash(a) == contentHash(b); got != same {
			t.Fatalf("hashes equal: %t, contents equal: %t\n%+v\n%+v", got, same, a, b)
		}
	})
}
