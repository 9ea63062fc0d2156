package diff

import (
	"slices"
	"testing"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// What all must have is told where it is gone, and what more they must have is
// no new way in.
func TestNewWaysIntoAllOf(t *testing.T) {
	t.Parallel()
	main := &config.JWT{Name: "main", Issuer: "i"}
	keys, devices := &config.APIKey{Name: "keys"}, &config.APIKey{Name: "devices"}
	token, narrow := authz.Requirement{JWT: main}, authz.Requirement{JWT: main, Scopes: []string{"a"}}
	key, device := authz.Requirement{APIKey: keys}, authz.Requirement{APIKey: devices}
	list := func(all ...authz.Requirement) []authz.Requirement { return all }
	for name, c := range map[string]struct {
		before, after authz.Policy
		want          []string
	}{
		"a member more":          {authz.Policy{AllOf: list(token)}, authz.Policy{AllOf: list(token, key)}, nil},
		"a member less":          {authz.Policy{AllOf: list(token, key)}, authz.Policy{AllOf: list(token)}, []string{"no longer needed by all: apiKey keys"}},
		"a member asks for more": {authz.Policy{AllOf: list(token, key)}, authz.Policy{AllOf: list(key, narrow)}, nil},
		"a member asks for less": {authz.Policy{AllOf: list(narrow, key)}, authz.Policy{AllOf: list(token, key)}, []string{"no longer needed by all: jwt main, scope a"}},
		"all beside any":         {authz.Policy{AnyOf: list(token, key)}, authz.Policy{AnyOf: list(token, key), AllOf: list(device)}, nil},
		"nothing beside any":     {authz.Policy{AnyOf: list(token, key), AllOf: list(device)}, authz.Policy{AnyOf: list(token, key)}, []string{"no longer needed by all: apiKey devices"}},
		"any becomes all":        {authz.Policy{AnyOf: list(token, key)}, authz.Policy{AllOf: list(token, key)}, nil},
		"all becomes any":        {authz.Policy{AllOf: list(token, key)}, authz.Policy{AnyOf: list(token, key)}, []string{"no longer needed by all: jwt main", "no longer needed by all: apiKey keys"}},
		"one of any joins all":   {authz.Policy{AnyOf: list(token), AllOf: list(key)}, authz.Policy{AllOf: list(token, key)}, nil},
		"another way beside all": {authz.Policy{AnyOf: list(token), AllOf: list(device)}, authz.Policy{AnyOf: list(token, key), AllOf: list(device)}, []string{"new way in: apiKey keys and apiKey devices"}},
		"any is gone":            {authz.Policy{AnyOf: list(token, key), AllOf: list(device)}, authz.Policy{AllOf: list(device)}, []string{"new way in: apiKey devices"}},
		"public":                 {authz.Policy{AllOf: list(token)}, authz.Policy{}, []string{"it is public now"}},
		"public before":          {authz.Policy{}, authz.Policy{AllOf: list(token)}, nil},
		"anonymous":              {authz.Policy{AllOf: list(token)}, authz.Policy{AllOf: list(token), AllowAnonymous: true}, []string{"new way in: without a credential"}},
		"any goes into shadow beside all": {
			authz.Policy{AnyOf: list(token), AllOf: list(key)}, authz.Policy{Shadow: list(token), AllOf: list(key)}, []string{"new way in: apiKey keys"},
		},
		"all goes into shadow": {
			authz.Policy{AllOf: list(key)}, authz.Policy{Shadow: list(key)}, []string{"everybody passes now: all that it asks for is in shadow"},
		},
		"shadow beside all":            {authz.Policy{AllOf: list(key)}, authz.Policy{Shadow: list(token), AllOf: list(key)}, nil},
		"out of shadow beside all":     {authz.Policy{Shadow: list(token), AllOf: list(key)}, authz.Policy{AnyOf: list(token), AllOf: list(key)}, nil},
		"what all ask is asked by one": {authz.Policy{AnyOf: list(narrow, key)}, authz.Policy{AnyOf: list(device, key), AllOf: list(narrow)}, nil},
	} {
		if got := newWaysIn(&c.before, &c.after); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAskedText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		anyOf, allOf []string
		anonymous    bool
		want         string
	}{
		{[]string{"a", "b"}, nil, false, "a or b"},
		{[]string{"a"}, nil, true, "a or anonymous"},
		{nil, []string{"c", "d"}, false, "c and d"},
		{[]string{"a"}, []string{"c"}, false, "a and c"},
		{[]string{"a", "b"}, []string{"c", "d"}, true, "(a or b) and c and d or anonymous"},
	} {
		if got := askedText(c.anyOf, c.allOf, c.anonymous); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
