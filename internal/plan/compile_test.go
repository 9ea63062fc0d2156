package plan

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/xds"
)

// TestCompilingOnTopOfAPlanIsCompilingAnew: whatever has changed, and in
// whatever order, a plan that takes over what it can from the plan before it is
// the plan that is compiled from nothing.
func TestCompilingOnTopOfAPlanIsCompilingAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		form := rapid.SampledFrom([]xds.Form{xds.Table, xds.Scoped}).Draw(t, "form")
		var before *Plan
		for step := range 5 {
			c := drawConfig(t)
			if before != nil {
				config.Adopt(c, before.Config)
			}
			onTop, err := Compile(c, Options{Previous: before, Form: form})
			if err != nil {
				t.Fatal(err)
			}
			anew, err := Compile(c, Options{Form: form})
			if err != nil {
				t.Fatal(err)
			}
			compareResources(t, step, onTop.Resources, anew.Resources)
			if onTop.Version != anew.Version {
				t.Fatalf("step %d: version %s on top, %s anew", step, onTop.Version, anew.Version)
			}
			if got, want := allPolicies(onTop), allPolicies(anew); !maps.Equal(got, want) {
				t.Fatalf("step %d: policies %v on top, %v anew", step, got, want)
			}
			if before != nil {
				var dropped []string
				for _, r := range before.Config.Routes {
					if !anew.HasRoute(r.Name) {
						dropped = append(dropped, r.Name)
					}
				}
				if !slices.Equal(onTop.DroppedRoutes, dropped) {
					t.Fatalf("step %d: dropped %v, want %v", step, onTop.DroppedRoutes, dropped)
				}
			}
			before = onTop
		}
	})
}

func compareResources(t *rapid.T, step int, got, want xds.Resources) {
	t.Helper()
	for _, typ := range xds.Types {
		versions := func(r xds.Resources) map[string]string {
			out := map[string]string{}
			for name, res := range r[typ] {
				out[name] = res.Version
			}
			return out
		}
		if g, w := versions(got), versions(want); !maps.Equal(g, w) {
			t.Fatalf("step %d: %s: %v on top, %v anew", step, typ, g, w)
		}
	}
}

// allPolicies are how often each policy is named.
func allPolicies(p *Plan) map[string]int {
	out := map[string]int{}
	for _, part := range p.policies.parts {
		for hash, shared := range part {
			out[hash] = shared.uses
		}
	}
	return out
}

// drawConfig is a valid config of a small world.
func drawConfig(t *rapid.T) *config.Config {
	listener := rapid.SampledFrom([]string{"", ", rateLimit: filter"}).Draw(t, "listener")
	text := fmt.Sprintf("listeners: [{name: public, address: \"127.0.0.1:8080\"%s}]\n", listener)
	breaker := rapid.SampledFrom([]string{"", ", breaker: {}", ", breaker: {minRequests: 5}", ", breaker: {fallback: {respond: {status: 200}}}"}).Draw(t, "breaker")
	text += fmt.Sprintf("backends: {one: {endpoints: [\"127.0.0.1:%d\"]%s}, two: {endpoints: [\"127.0.0.1:9102\"]}}\n",
		rapid.SampledFrom([]int{9101, 9103}).Draw(t, "port"), breaker)
	text += fmt.Sprintf("limits: {slow: {key: [clientIP], tokenBucket: {capacity: %d, refill: 1/s}}}\nroutes:\n",
		rapid.IntRange(1, 2).Draw(t, "capacity"))
	names := rapid.Permutation([]string{"r0", "r1", "r2", "r3", "r4"}).Draw(t, "names")
	for _, name := range names[:rapid.IntRange(1, 5).Draw(t, "routes")] {
		hosts := rapid.SampledFrom([]string{"", "hosts: [a.com], ", "hosts: [a.com, b.com], ", "hosts: [\"*.com\"], "}).Draw(t, "hosts")
		limits := rapid.SampledFrom([]string{"", ", limits: [slow]"}).Draw(t, "limits")
		goal := rapid.SampledFrom([]string{"to: [{backend: one}]", "to: [{backend: two}]", "respond: {status: 200}"}).Draw(t, "goal")
		text += fmt.Sprintf("  - {name: %s, match: {%spath: /%s}, auth: public%s, %s}\n", name, hosts, name, limits, goal)
	}
	c, err := config.Parse("gateway.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// TestAChangeCostsWhatItChanges: in the form Scoped, a route that changes
// changes its host's table and no other resource.
func TestAChangeCostsWhatItChanges(t *testing.T) {
	text := "listeners: [{name: public, address: \"127.0.0.1:8080\"}]\nroutes:\n"
	for i := range 50 {
		text += fmt.Sprintf("  - {name: r%d, match: {hosts: [h%d.com], path: /}, auth: public, respond: {status: 200, body: STATUS%d}}\n", i, i, i)
	}
	parse := func(text string) *config.Config {
		c, err := config.Parse("gateway.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before, err := Compile(parse(text), Options{Form: xds.Scoped})
	if err != nil {
		t.Fatal(err)
	}
	c := parse(text)
	c.Routes[7].Respond.Body = "changed"
	config.Adopt(c, before.Config)
	after, err := Compile(c, Options{Form: xds.Scoped, Previous: before})
	if err != nil {
		t.Fatal(err)
	}
	var changed []string
	for _, typ := range xds.Types {
		for name, r := range after.Resources[typ] {
			if old := before.Resources[typ][name]; old.Version != r.Version || typ == resource.RouteType && old.Message != r.Message {
				changed = append(changed, name)
			}
		}
	}
	if want := []string{"routes-service/h7.com"}; !slices.Equal(changed, want) {
		t.Errorf("changed: %v, want %v", changed, want)
	}
}
