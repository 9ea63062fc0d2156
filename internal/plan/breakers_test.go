package plan

import (
	"maps"
	"slices"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// guarded is a config whose route r goes to backends with and without breakers.
func guarded(t *testing.T, change func(*config.Config)) *config.Config {
	t.Helper()
	c, err := config.Parse("gateway.yaml", []byte(`
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {one: {endpoints: ["127.0.0.1:9101"]}, two: {endpoints: ["127.0.0.1:9102"]}, three: {endpoints: ["127.0.0.1:9103"]}}
routes:
  - {name: split, match: {path: /split}, auth: public, to: [{backend: one, weight: 1}, {backend: two, weight: 1}]}
  - {name: alone, match: {path: /alone}, auth: public, to: [{backend: three}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	change(c)
	return c
}

// TestRoutesWithABreakerAreJudged: those to a backend that has one, and no others; and
// as soon as it has.
func TestRoutesWithABreakerAreJudged(t *testing.T) {
	judged := func(p *Plan) (names []string) {
		for _, r := range p.Config.Routes {
			if _, hash := p.PolicyOf(r); hash != "" {
				names = append(names, r.Name)
			}
		}
		return names
	}
	var before *Plan
	for _, step := range []struct {
		name   string
		change func(*config.Config)
		want   []string
		same   bool // the resources are those of the step before, but not the version
	}{
		{"none", func(*config.Config) {}, nil, false},
		{"one of two", func(c *config.Config) { c.Backends["two"].Breaker = &config.Breaker{} }, []string{"split"}, false},
		{"its numbers", func(c *config.Config) { c.Backends["two"].Breaker = &config.Breaker{MinRequests: 5} }, []string{"split"}, true},
		{"its fallback", func(c *config.Config) {
			c.Backends["two"].Breaker = &config.Breaker{Fallback: &config.BreakerFallback{Respond: &config.Respond{Status: 200}}}
		}, []string{"split"}, false},
		{"the other", func(c *config.Config) { c.Backends["three"].Breaker = &config.Breaker{} }, []string{"alone"}, false},
		{"none again", func(*config.Config) {}, nil, false},
	} {
		c := guarded(t, step.change)
		if before != nil {
			config.Adopt(c, before.Config)
		}
		p, err := Compile(c, Options{Previous: before})
		if err != nil {
			t.Fatal(err)
		}
		if got := judged(p); !slices.Equal(got, step.want) {
			t.Errorf("%s: judged %v, want %v", step.name, got, step.want)
		}
		if before != nil && (version(p.Resources, nil) == version(before.Resources, nil)) != step.same {
			t.Errorf("%s: are the resources of the step before the same? want %t", step.name, step.same)
		}
		if before != nil && p.Version == before.Version {
			t.Errorf("%s: the version is that of the step before", step.name)
		}
		before = p
	}
}

// TestBreakersByName: one of a backend, or one of each route to it, and of each that falls back on it.
func TestBreakersByName(t *testing.T) {
	own := &config.Breaker{Per: config.PerRoute}
	shared := &config.Breaker{Fallback: &config.BreakerFallback{Backend: "three"}}
	p, err := Compile(guarded(t, func(c *config.Config) {
		c.Backends["one"].Breaker, c.Backends["three"].Breaker = shared, own
	}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Breaker{
		"one":         {Backend: "one", Config: shared},
		"split/three": {Route: "split", Backend: "three", Config: own},
		"alone/three": {Route: "alone", Backend: "three", Config: own},
	}
	if got := p.Breakers(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
