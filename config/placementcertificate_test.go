package config

import (
	"slices"
	"testing"
)

// TestWhyCertificatesAreAskedAbout: what of a route keeps certificates from being
// remembered, on listeners that ask for them and on one that does not.
func TestWhyCertificatesAreAskedAbout(t *testing.T) {
	t.Parallel()
	asking := &Listener{Name: "asking", TLS: &ListenerTLS{ClientCA: "ca.pem"}}
	plain := &Listener{Name: "plain", TLS: &ListenerTLS{}}
	c := &Config{
		Auth: Providers{
			JWT:               map[string]*JWT{"main": {Name: "main"}},
			APIKey:            map[string]*APIKey{"keys": {Name: "keys"}},
			ClientCertificate: map[string]*ClientCertificate{"partners": {Name: "partners"}},
		},
		Limits: inEnvoy().Limits,
	}
	certificate, token := &Requirement{ClientCertificate: "partners"}, &Requirement{JWT: "main"}
	tried := &Requirement{ClientCertificate: "partners", Mode: ModeShadow}
	const nobody, shadow = "listener plain asks clients for no certificates", "a requirement is in shadow beside one in force"
	const counted, apart = "limits count whom certificates name", "limit per-user would be counted apart by each listener"
	for name, w := range map[string]struct {
		auth          *RouteAuth
		limits        []string
		asking, plain []string
	}{
		"alone":              {&RouteAuth{AnyOf: []*Requirement{certificate}}, nil, nil, []string{nobody}},
		"beside a token":     {&RouteAuth{AnyOf: []*Requirement{certificate, token}}, nil, nil, nil},
		"beside a key":       {&RouteAuth{AnyOf: []*Requirement{certificate, {APIKey: "keys"}}}, nil, nil, []string{nobody}},
		"in shadow alone":    {&RouteAuth{AnyOf: []*Requirement{tried}}, nil, nil, []string{nobody}},
		"in shadow beside":   {&RouteAuth{AnyOf: []*Requirement{tried, token}}, nil, []string{shadow}, []string{shadow}},
		"together":           {&RouteAuth{AllOf: []*Requirement{certificate}}, nil, []string{"allOf joins several credentials", "no jwt is asked for"}, []string{"allOf joins several credentials", "no jwt is asked for"}},
		"a key alone":        {&RouteAuth{AnyOf: []*Requirement{{APIKey: "keys"}}}, nil, []string{"no jwt is asked for"}, []string{"no jwt is asked for"}},
		"charged to a limit": {&RouteAuth{AnyOf: []*Requirement{certificate}}, []string{"per-user"}, []string{counted, apart}, []string{nobody, counted, apart}},
	} {
		r := &Route{Name: "r", Auth: w.auth, Limits: w.limits}
		c.Routes, c.Listeners = []*Route{r}, []*Listener{asking, plain}
		for l, want := range map[*Listener][]string{asking: w.asking, plain: w.plain} {
			if got := c.Placer().WhyAskedOn(l, r); !slices.Equal(got, want) {
				t.Errorf("%s on %s: %q, want %q", name, l.Name, got, want)
			}
		}
	}
}
