package plan

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/xds"
)

const placedGateway = `
listeners:
  - {name: public, address: "127.0.0.1:8080"}
  - {name: internal, address: "127.0.0.1:8081", placement: service}
  - {name: web, address: "127.0.0.1:8082", redirectToHTTPS: {port: 8080}}
backends:
  app: {endpoints: ["127.0.0.1:1"], breaker: {}}
  other: {endpoints: ["127.0.0.1:2"]}
auth:
  jwt:
    main: {issuer: "http://id", audiences: [a], jwks: {url: "http://127.0.0.1:3/keys"}}
    partner: {issuer: "http://partner", audiences: [a], jwks: {url: "http://127.0.0.1:4/keys"}}
  apiKey: {own: {}}
routes:
  - {name: b, match: {path: /b}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
  - {name: a, match: {path: /a}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
  - {name: both, match: {path: /both}, auth: {anyOf: [{jwt: main}, {jwt: partner}]}, to: [{backend: other}]}
  - {name: own, match: {path: /own}, auth: {anyOf: [{apiKey: own}]}, to: [{backend: other}]}
  - {name: held, match: {path: /held}, auth: {anyOf: [{jwt: main}]}, placement: service, to: [{backend: other}]}
  - {name: open, match: {path: /open}, auth: public, to: [{backend: other}]}
  - {name: guarded, match: {path: /guarded}, auth: public, to: [{backend: app}]}
`

func compiled(t *testing.T, text string) *Plan {
	t.Helper()
	c, err := config.Parse("gateway.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWherePoliciesRun(t *testing.T) {
	t.Parallel()
	p := compiled(t, placedGateway)
	want := []Placement{
		{
			Listener: "public", InEnvoy: RoutesAndPolicies{4, 3}, Asked: RoutesAndPolicies{2, 2}, Unjudged: 1,
			Why: []PlacementReason{
				{"no jwt is asked for", 1, []string{"own"}},
				{"the route says placement: service", 1, []string{"held"}},
			},
		},
		{
			Listener: "internal", Asked: RoutesAndPolicies{6, 5}, Unjudged: 1,
			Why: []PlacementReason{
				{"listener internal says placement: service", 6, []string{"a", "b", "both"}},
				{"no jwt is asked for", 1, []string{"own"}},
			},
		},
	}
	if got := p.Placements(); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// TestWhatIsAskedNow: each thing that has requests asked about for a while is told, with
// the routes that it bears on.
func TestWhatIsAskedNow(t *testing.T) {
	t.Parallel()
	p := compiled(t, placedGateway)
	keys := map[string][]xds.PlacedKey{}
	for _, policy := range p.Placed() {
		for _, c := range policy.Callers {
			keys[c.Key] = []xds.PlacedKey{{ID: "1", Algorithms: []string{"RS256"}}}
		}
	}
	partner := ""
	for _, policy := range p.Placed() {
		for _, c := range policy.Callers {
			if c.Provider.Name == "partner" {
				partner = c.Key
			}
		}
	}
	none := map[string]bool{}
	without := func(key string) map[string][]xds.PlacedKey {
		out := map[string][]xds.PlacedKey{}
		for k, v := range keys {
			if k != key {
				out[k] = v
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		state xds.PlacedState
		want  []PlacementReason
	}{
		"all is well": {xds.PlacedState{Open: none, Keys: keys}, nil},
		"a breaker":   {xds.PlacedState{Keys: keys, Open: map[string]bool{"app": true}}, []PlacementReason{{"the breaker of backend app is not closed", 3, []string{"a", "b", "guarded"}}}},
		"no breaker known": {
			xds.PlacedState{Keys: keys}, []PlacementReason{{"it is not known which breakers are closed", 3, []string{"a", "b", "guarded"}}},
		},
		"no keys": {xds.PlacedState{Open: none, Keys: without(partner)}, []PlacementReason{{"no keys of jwt partner are known", 1, []string{"both"}}}},
		"keys without kid": {
			xds.PlacedState{Open: none, Keys: without(partner), Nameless: map[string]int{partner: 2}}, []PlacementReason{{"the keys of jwt partner have no kid", 1, []string{"both"}}},
		},
		"some without kid": {
			xds.PlacedState{Open: none, Keys: keys, Nameless: map[string]int{partner: 2}},
			[]PlacementReason{{"tokens of jwt partner may be signed by keys that have no kid: 2 in its key set", 1, []string{"both"}}},
		},
		"revocations that fit": {xds.PlacedState{Open: none, Keys: keys, Revoked: revoked("http://partner", 64)}, nil},
		"too many revocations": {
			xds.PlacedState{Open: none, Keys: keys, Revoked: revoked("http://partner", 65)},
			[]PlacementReason{{"more than 64 revocations of issuer http://partner are in force", 1, []string{"both"}}},
		},
		"nobody knows": {
			xds.PlacedState{Open: none, RevocationsUnknown: true}, []PlacementReason{{"it is not known which tokens have been revoked", 3, []string{"a", "b", "both"}}},
		},
	} {
		if got := p.AskedNow(c.state); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// TestNothingIsAskedNowWhereAllIs: where every request is asked about, by what listeners
// say, nothing more is said of what the filters lack that are not there.
func TestNothingIsAskedNowWhereAllIs(t *testing.T) {
	t.Parallel()
	p := compiled(t, strings.Replace(placedGateway, `"127.0.0.1:8080"`, `"127.0.0.1:8080", placement: service`, 1))
	if got := p.AskedNow(xds.PlacedState{}); p.RunsInEnvoy() || got != nil {
		t.Errorf("%v, %+v", p.RunsInEnvoy(), got)
	}
}

func revoked(issuer string, n int) []xds.PlacedRevocation {
	out := make([]xds.PlacedRevocation, n)
	for i := range out {
		out[i] = xds.PlacedRevocation{Issuer: issuer, ID: "1"}
	}
	return out
}

// TestPlacementsAreWhatIsServed: a route that is asked about is so for a reason that is
// told, and no other has one; and a listener has the filters by which requests are let
// pass if and only if some route of it is told to be judged inside Envoy.
func TestPlacementsAreWhatIsServed(t *testing.T) {
	t.Parallel()
	inputs, err := filepath.Glob("testdata/golden/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no configs: %v", err)
	}
	inside := 0
	for _, in := range inputs {
		c, err := config.Load(in)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Compile(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range c.Listeners {
			for _, r := range c.Routes {
				d := p.decide(r, l.RateLimit)
				inside := d.Placed != nil && c.PlacementOf(l, r) != config.PlacementService && !c.NobodyToLetPass(l, r)
				if why := p.placer.WhyAskedOn(l, r); d.Needed && inside != (len(why) == 0) {
					t.Errorf("%s, listener %s, route %s: inside Envoy: %v, and asked about since %q", in, l.Name, r.Name, inside, why)
				}
			}
		}
		for _, on := range p.Placements() {
			told := on.InEnvoy.Routes > 0
			served := hasFilter(t, p, on.Listener, "gatewright.place") // where limits are there, too, with more behind it
			if told != served {
				t.Errorf("%s, listener %s: %+v, and the filter is there: %v", in, on.Listener, on, served)
			}
			if told {
				inside++
			}
			if on.Asked.Routes > 0 && len(on.Why) == 0 {
				t.Errorf("%s, listener %s: routes are asked about for no reason: %+v", in, on.Listener, on)
			}
		}
	}
	if inside == 0 {
		t.Error("no config has a policy inside Envoy: this proves nothing")
	}
}

// hasFilter tells whether a listener of a plan has an HTTP filter whose name begins so.
func hasFilter(t *testing.T, p *Plan, listener, prefix string) bool {
	t.Helper()
	for _, f := range filtersIn(t, p.Resources[resource.ListenerType][listener].Message.(*listenerv3.Listener)) {
		if strings.HasPrefix(f.GetName(), prefix) {
			return true
		}
	}
	return false
}

// TestLimitsOfManyRoutesAreCountedOnce: in the form Scoped Envoy has no limit, since it asks
// about hosts in capitals.
func TestLimitsOfManyRoutesAreCountedOnce(t *testing.T) {
	t.Parallel()
	c, err := config.Load("testdata/golden/limits-in-envoy.in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for form, want := range map[xds.Form]bool{xds.Table: true, xds.Scoped: false} {
		p, err := Compile(c, Options{Form: form})
		if err != nil {
			t.Fatal(err)
		}
		if got := hasFilter(t, p, "public", "gatewright.limit."); got != want {
			t.Errorf("%s: a limit is inside Envoy: %v", form, got)
		}
		if !p.CountsAlike(Options{}) {
			t.Errorf("%s: the plan would be another", form)
		}
	}
}
