package main

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/plan"
)

const routed = `
listeners: [{name: public, address: "127.0.0.1:8080"}]
auth: {apiKey: {keys: {forward: {tenant: X-Tenant}}}}
routes:
- {name: open, match: {path: /open}, auth: public, respond: {status: 200}}
- {name: closed, match: {path: /closed}, auth: {anyOf: [{apiKey: keys}]}, respond: {status: 200}}
- {name: forged, match: {path: /open, headers: {X-Plain: root}}, auth: public, respond: {status: 200}}
`

func planOf(t *testing.T, text string) *plan.Plan {
	t.Helper()
	c, err := config.Parse("gateway.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Routes { // as no config can say it
		if value, ok := r.Match.Headers["X-Plain"]; ok {
			r.Match.Headers = map[string]config.ValueMatch{"X-User-ID": value}
		}
	}
	p, err := plan.Compile(c, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// asking is a request whose client says that it is root.
func asking(path string) authz.Unrouted {
	return authz.Unrouted{Host: "a.example", Method: "GET", Path: path, Header: func(string) (string, bool) { return "root", true }}
}

func TestRouterFindsRoutes(t *testing.T) {
	t.Parallel()
	r := &router{}
	if _, err := r.Route(t.Context(), asking("/open")); !errors.Is(err, errNoTable) {
		t.Errorf("before a config is served: %v", err)
	}
	p := planOf(t, routed)
	r.serve(p)
	for path, want := range map[string]authz.Routed{
		"/open":     {Route: "open"},
		"/closed":   {Route: "closed"},
		"/other":    {},
		"/a/../b":   {PathRefused: true},
		"//open":    {PathRefused: true},
		"/open%2f":  {PathRefused: true},
		"":          {PathRefused: true},
		"/..;/open": {PathRefused: true},
	} {
		got, err := r.Route(t.Context(), asking(path))
		if err != nil || got.Route != want.Route || got.PathRefused != want.PathRefused || (got.Policy != nil) != (want.Route != "") {
			t.Errorf("%q: %+v %v", path, got, err)
		}
	}
	for _, host := range []string{"", "a,b", "user@a", "a:", "a:b", "[::1"} {
		odd := asking("/open")
		odd.Host = host
		if got, err := r.Route(t.Context(), odd); err != nil || !got.HostRefused || got.Policy != nil {
			t.Errorf("host %q: %+v %v", host, got, err)
		}
	}
	limited := planOf(t, routed+`
limits: {few: {key: [clientIP], tokenBucket: {capacity: 1, refill: 1/d}}}
strangers: {limits: [few]}
`)
	r.serve(limited)
	stranger, err := r.Route(t.Context(), asking("/other"))
	if err != nil || stranger.Policy == nil || !stranger.Policy.Strangers || stranger.Policy != limited.Policy(stranger.Hash) {
		t.Errorf("a stranger: %+v %v", stranger, err)
	}
	r.serve(p)
	got, _ := r.Route(t.Context(), asking("/closed"))
	if got.Policy.Hash() != got.Hash || got.Policy != p.Policy(got.Hash) {
		t.Errorf("the policy of /closed is not the plan's: %+v", got)
	}
	if open, _ := r.Route(t.Context(), asking("/open")); open.Policy.Needed() || open.Hash != "" {
		t.Errorf("/open asks for something: %+v", open)
	}
}

// TestRouterBuildsOnce: no table is there before one is asked for; many wait for
// it together, and none for that of the next plan.
func TestRouterBuildsOnce(t *testing.T) {
	t.Parallel()
	r := &router{}
	r.serve(planOf(t, routed))
	if r.served.Load().table != nil {
		t.Error("a table that nobody has asked for")
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got, err := r.Route(context.Background(), asking("/open")); err != nil || got.Route != "open" {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
	all.Wait()
	r.serve(planOf(t, routed))
	if r.served.Load().table == nil {
		t.Error("the next plan is served without its table")
	}
}

// TestRouterWaitsNoLongerThanItsCaller: somebody else builds the table.
func TestRouterWaitsNoLongerThanItsCaller(t *testing.T) {
	t.Parallel()
	r := &router{}
	r.serve(planOf(t, routed))
	r.served.Load().begun.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Route(ctx, asking("/open")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
