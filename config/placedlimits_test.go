package config

import (
	"strings"
	"testing"
	"time"
)

// inEnvoy is a config with one limit, per-user, that can be counted inside Envoy.
func inEnvoy() *Config {
	limit := &Limit{Name: "per-user", Key: []KeyPart{KeyUser}, Consistency: Sync,
		TokenBucket: &TokenBucket{Capacity: 10, Refill: Rate{Events: 1, Per: time.Second}}}
	return &Config{
		Listeners: []*Listener{{Name: "public"}},
		Limits:    map[string]*Limit{"per-user": limit},
		Auth:      Providers{JWT: map[string]*JWT{"main": {Name: "main", Issuer: "a"}, "other": {Name: "other", Issuer: "b"}}},
		Routes: []*Route{
			{Name: "a", Limits: []string{"per-user"}, Auth: &RouteAuth{AnyOf: []*Requirement{{JWT: "main"}}}},
			{Name: "b", Auth: &RouteAuth{Public: true}},
		},
	}
}

// Each reason for which a limit stays in Gatewright, and what does not matter.
func TestLimitsAsked(t *testing.T) {
	second := func(c *Config) *Route {
		r := &Route{Name: "second", Limits: []string{"per-user"}, Auth: &RouteAuth{AnyOf: []*Requirement{{JWT: "main"}}}}
		c.Routes = append(c.Routes, r)
		return r
	}
	for name, c := range map[string]struct {
		change func(c *Config, l *Limit)
		want   string // "" can be counted inside Envoy
	}{
		"as it is":     {func(*Config, *Limit) {}, ""},
		"a fixed cost": {func(_ *Config, l *Limit) { l.Cost = &Cost{Number: 5} }, ""},
		"three parts":  {func(_ *Config, l *Limit) { l.Key = []KeyPart{KeyTenant, "claim:a", KeyUser, KeyRoute, KeyClientIP} }, ""},
		"two routes":   {func(c *Config, _ *Limit) { second(c) }, ""},
		"a listener to HTTPS": {func(c *Config, _ *Limit) {
			c.Listeners = append(c.Listeners, &Listener{RedirectToHTTPS: &HTTPSRedirect{}})
		}, ""},
		"public by clientIP": {func(c *Config, l *Limit) { l.Key = []KeyPart{KeyClientIP}; c.Routes[0].Auth = &RouteAuth{Public: true} }, ""},
		"public, and held": {func(c *Config, l *Limit) {
			l.Key = []KeyPart{KeyClientIP}
			c.Routes[0].Auth, c.Routes[0].Placement = &RouteAuth{Public: true}, PlacementService
		}, "is charged on route a, about which Gatewright is asked"},
		"exact":                  {func(_ *Config, l *Limit) { l.Consistency = "" }, "is exact among all"},
		"leased":                 {func(_ *Config, l *Limit) { l.Consistency = Lease }, "is lease among all"},
		"no bucket":              {func(_ *Config, l *Limit) { l.TokenBucket = nil }, "is no tokenBucket"},
		"shadow":                 {func(_ *Config, l *Limit) { l.Mode = ModeShadow }, "is in shadow"},
		"plans":                  {func(_ *Config, l *Limit) { l.Plans = map[string]*LimitPlan{"gold": {}} }, "has plans"},
		"a cost by header":       {func(_ *Config, l *Limit) { l.Cost = &Cost{Header: "x-cost"} }, "has a cost"},
		"denies without a store": {func(_ *Config, l *Limit) { l.OnStoreFailure = FailDeny }, "has onStoreFailure: deny"},
		"large":                  {func(_ *Config, l *Limit) { l.TokenBucket.Capacity = 1 << 32 }, "is larger"},
		"by header":              {func(_ *Config, l *Limit) { l.Key = []KeyPart{KeyUser, "header:x-a"} }, "counts by header:x-a"},
		"by method":              {func(_ *Config, l *Limit) { l.Key = []KeyPart{KeyUser, KeyMethod} }, "counts by method"},
		"by apiKey":              {func(_ *Config, l *Limit) { l.Key = []KeyPart{KeyAPIKey} }, "counts by apiKey"},
		"by a claim with a dot":  {func(_ *Config, l *Limit) { l.Key = []KeyPart{"claim:a.b"} }, "counts by claim:a.b"},
		"four parts":             {func(_ *Config, l *Limit) { l.Key = []KeyPart{KeyTenant, "claim:a", KeyUser, "claim:b"} }, "counts by more than 3"},
		"by nothing of a caller": {func(_ *Config, l *Limit) { l.Key = []KeyPart{KeyClientIP} }, "is charged for callers who are not known, too, on route a"},
		"several on a route":     {func(c *Config, _ *Limit) { second(c).Limits = []string{"per-user", "other"} }, "is one of several on route second"},
		"an asked route":         {func(c *Config, _ *Limit) { second(c).Placement = PlacementService }, "is charged on route second, about which Gatewright is asked"},
		"two providers":          {func(c *Config, _ *Limit) { second(c).Auth.AnyOf[0].JWT = "other" }, "counts users of jwt main and of other"},
		"strangers":              {func(c *Config, _ *Limit) { c.Strangers = &Strangers{Limits: []string{"per-user"}} }, "is charged for requests that no route takes"},
		"two listeners":          {func(c *Config, _ *Limit) { c.Listeners = append(c.Listeners, &Listener{Name: "b"}) }, "by each listener"},
		"HTTP/3":                 {func(c *Config, _ *Limit) { c.Listeners[0].HTTP3 = true }, "apart for HTTP/3 on listener public"},
		"proxies":                {func(c *Config, _ *Limit) { c.TrustedProxies = []string{"10.0.0.0/8"} }, "apart for the proxies of listener public"},
		"an asked listener":      {func(c *Config, _ *Limit) { c.Listeners[0].Placement = PlacementService }, "is counted for listener public"},
		"a filter's listener":    {func(c *Config, _ *Limit) { c.Listeners[0].RateLimit = RateLimitFilter }, "is counted for listener public"},
	} {
		cfg := inEnvoy()
		c.change(cfg, cfg.Limits["per-user"])
		got := cfg.Placer().LimitsAsked()["per-user"]
		if got == "" != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
