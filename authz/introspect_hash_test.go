package authz

import (
	"testing"

	"github.com/gatewright/gatewright/config"
)

// TestHashKnowsIntrospection: what a provider says of itself is in the address
// of the policies that name it.
func TestHashKnowsIntrospection(t *testing.T) {
	hash := func(change func(*config.Introspection)) string {
		p := legacyTokens("https://id.example.com/introspect")
		change(p)
		return (&Policy{AnyOf: []Requirement{{Introspection: p}}}).Hash()
	}
	plain := hash(func(*config.Introspection) {})
	for name, change := range map[string]func(*config.Introspection){
		"name":      func(p *config.Introspection) { p.Name = "x" },
		"url":       func(p *config.Introspection) { p.URL = "https://x" },
		"client":    func(p *config.Introspection) { p.ClientID = "x" },
		"secret":    func(p *config.Introspection) { p.ClientSecretEnv = "X" },
		"ca":        func(p *config.Introspection) { p.CA = "x" },
		"timeout":   func(p *config.Introspection) { p.Timeout = 1 },
		"cache":     func(p *config.Introspection) { p.Cache.Off = true },
		"issuer":    func(p *config.Introspection) { p.Issuer = "x" },
		"audiences": func(p *config.Introspection) { p.Audiences = []string{"x"} },
		"skew":      func(p *config.Introspection) { p.ClockSkew = 1 },
		"forward":   func(p *config.Introspection) { p.Forward = nil },
		"token":     func(p *config.Introspection) { p.ForwardCredential = true },
	} {
		if hash(change) == plain {
			t.Errorf("another %s is the same policy", name)
		}
	}
}
