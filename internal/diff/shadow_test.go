package diff

import (
	"slices"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// Requirements in shadow protect nothing: to put one there opens the route, to
// take it out does not.
func TestShadowProtectsNothing(t *testing.T) {
	t.Parallel()
	judged := func(auth *config.RouteAuth) *judgement {
		r := &config.Route{Name: "users", Auth: auth, To: []*config.Destination{{Backend: "users"}}}
		return newSide(&config.Config{
			Auth:   config.Providers{JWT: map[string]*config.JWT{"main": {Name: "main", Issuer: "i"}}},
			Routes: []*config.Route{r},
		}).judge(r)
	}
	enforced := func(scopes ...string) *config.Requirement { return &config.Requirement{JWT: "main", Scopes: scopes} }
	shadow := func(scopes ...string) *config.Requirement {
		return &config.Requirement{JWT: "main", Scopes: scopes, Mode: config.ModeShadow}
	}
	any := func(all ...*config.Requirement) *judgement { return judged(&config.RouteAuth{AnyOf: all}) }
	public := judged(&config.RouteAuth{Public: true})
	for name, c := range map[string]struct {
		before, after *judgement
		want          Protection
		lost          []string
	}{
		"into shadow":              {any(enforced()), any(shadow()), Less, []string{"everybody passes now: all that it asks for is in shadow"}},
		"out of shadow":            {any(shadow()), any(enforced()), Other, nil},
		"public to shadow":         {public, any(shadow()), Other, nil},
		"shadow to public":         {any(shadow()), public, Other, nil},
		"shadow beside":            {any(enforced("a")), any(enforced("a"), shadow()), Other, nil},
		"from beside to enforced":  {any(enforced("a"), shadow()), any(enforced("a"), enforced()), Less, []string{"new way in: jwt main"}},
		"only another stays there": {any(enforced("a"), enforced()), any(enforced("a"), shadow()), Other, nil},
	} {
		if got, lost := protection(c.before, c.after); got != c.want || !slices.Equal(lost, c.lost) {
			t.Errorf("%s: %s, %q", name, got, lost)
		}
		if c.before.same(c.after) {
			t.Errorf("%s: it is said to be the same", name)
		}
	}
	if !any(shadow("a", "b")).same(any(shadow("b", "a"))) {
		t.Error("the order of scopes in shadow counts")
	}
	if got, want := any(enforced(), shadow("a")).String(), "route users (jwt main, in shadow jwt main, scope a), to users"; got != want {
		t.Errorf("in words %q, want %q", got, want)
	}
	both := judged(&config.RouteAuth{AnyOf: []*config.Requirement{shadow("a")}, AllOf: []*config.Requirement{enforced()}})
	if got, want := both.String(), "route users (jwt main, in shadow jwt main, scope a and jwt main), to users"; got != want {
		t.Errorf("in words %q, want %q", got, want)
	}
	if got, want := requirementText(shadow("a")), "jwt main, scope a (in shadow)"; got != want {
		t.Errorf("in words %q, want %q", got, want)
	}
}
