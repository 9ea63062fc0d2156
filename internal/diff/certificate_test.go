package diff

import (
	"testing"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// A provider that takes fewer certificates protects no less.
func TestFewerCertificates(t *testing.T) {
	t.Parallel()
	of := func(change func(*config.ClientCertificate)) *authz.Requirement {
		p := &config.ClientCertificate{Name: "p", DNSNames: []string{"a.example.com", "b.example.com"}, Tenant: config.PartOrganization}
		if change != nil {
			change(p)
		}
		return &authz.Requirement{ClientCertificate: p}
	}
	before := of(nil)
	for name, c := range map[string]struct {
		after *authz.Requirement
		want  bool
	}{
		"the same":            {of(nil), true},
		"fewer names":         {of(func(p *config.ClientCertificate) { p.DNSNames = p.DNSNames[:1] }), true},
		"more names":          {of(func(p *config.ClientCertificate) { p.DNSNames = append(p.DNSNames, "c") }), false},
		"one list more":       {of(func(p *config.ClientCertificate) { p.Organizations = []string{"a"} }), true},
		"no list any more":    {of(func(p *config.ClientCertificate) { p.DNSNames, p.User = nil, config.PartDNSName }), false},
		"another part":        {of(func(p *config.ClientCertificate) { p.User = config.PartCommonName }), false},
		"no tenant any more":  {of(func(p *config.ClientCertificate) { p.Tenant = "" }), false},
		"another header":      {of(func(p *config.ClientCertificate) { p.Forward = map[string]string{"user": "X-A"} }), true},
		"a token":             {&authz.Requirement{JWT: &config.JWT{Name: "p"}}, false},
		"nothing of its kind": {&authz.Requirement{}, false},
	} {
		if got := asksAtLeast(c.after, before); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if got := requirementText(&config.Requirement{ClientCertificate: "p"}); got != "clientCertificate p" {
		t.Errorf("it is called %q", got)
	}
}
