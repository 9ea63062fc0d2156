package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/plan"
)

// breakerPlan is the plan of routes to backends with these breakers; nil is none.
func breakerPlan(t *testing.T, routes string, breakers map[string]*config.Breaker) *plan.Plan {
	t.Helper()
	text := `
listeners: [{name: public, address: "127.0.0.1:8080"}]
routes: [` + routes + `]
backends:
`
	for name := range breakers {
		text += "  " + name + `: {endpoints: ["127.0.0.1:9101"]}` + "\n"
	}
	c, err := config.Parse("gateway.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range breakers {
		c.Backends[name].Breaker = b
	}
	p, err := plan.Compile(c, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Requests are judged by several plans for some time: the newest that has a backend
// says which breakers are in front of it.
func TestBreakersOfSeveralPlans(t *testing.T) {
	const (
		one    = `{name: r, match: {path: /r}, auth: public, to: [{backend: users}]}`
		routes = one + `, {name: s, match: {path: /s}, auth: public, to: [{backend: users}]}`
	)
	type breakers = map[string]*config.Breaker
	whole, orders := &config.Breaker{MinRequests: 5}, &config.Breaker{MinRequests: 7}
	perRoute := &config.Breaker{MinRequests: 6, Per: config.PerRoute}
	of := func(routes string, b breakers) *plan.Plan { return breakerPlan(t, routes, b) }
	for name, c := range map[string]struct {
		plans []*plan.Plan // the newest first
		want  map[string]int
	}{
		"one plan":                   {[]*plan.Plan{of(routes, breakers{"users": whole, "orders": orders})}, map[string]int{"users": 5, "orders": 7}},
		"for each route":             {[]*plan.Plan{of(routes, breakers{"users": perRoute})}, map[string]int{"r/users": 6, "s/users": 6}},
		"a backend that went":        {[]*plan.Plan{of(routes, breakers{"users": whole}), of(routes, breakers{"users": nil, "orders": orders})}, map[string]int{"users": 5, "orders": 7}},
		"a breaker that went":        {[]*plan.Plan{of(routes, breakers{"users": nil}), of(routes, breakers{"users": whole})}, map[string]int{}},
		"one for all, then for each": {[]*plan.Plan{of(routes, breakers{"users": perRoute}), of(routes, breakers{"users": whole})}, map[string]int{"r/users": 6, "s/users": 6}},
		"for each, then one for all": {[]*plan.Plan{of(routes, breakers{"users": whole}), of(routes, breakers{"users": perRoute})}, map[string]int{"users": 5}},
		"a route that went":          {[]*plan.Plan{of(one, breakers{"users": perRoute}), of(routes, breakers{"users": perRoute})}, map[string]int{"r/users": 6, "s/users": 6}},
	} {
		got := map[string]int{}
		for name, d := range breakersOf(c.plans) {
			got[name] = d.Config.Least()
			if want := strings.TrimSuffix(strings.TrimSuffix(name, d.Backend), "/"); d.Route != want {
				t.Errorf("the breaker %s is for the route %q", name, d.Route)
			}
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s: breakers %v, want %v", name, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(c.want)))
		}
	}
}
