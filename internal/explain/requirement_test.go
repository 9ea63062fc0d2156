package explain

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// A rule is judged on the request that is asked about, and shown; nobody passes
// where nobody may.
func TestRulesAndNobody(t *testing.T) {
	t.Parallel()
	c := &config.Config{
		Auth: config.Providers{JWT: map[string]*config.JWT{"main": {Name: "main", Issuer: "i", Audiences: []string{"a"}}}},
		Routes: []*config.Route{{
			Name: "shop", Match: config.Match{Path: "/shop"},
			Auth:    &config.RouteAuth{AllowAnonymous: true, AnyOf: []*config.Requirement{{JWT: "main", Roles: []string{"a", "b"}, Rule: `request.method == "GET"`}}},
			Respond: &config.Respond{Status: 204},
		}},
	}
	r := Explain(t.Context(), Options{Config: c}, Asked{Method: "GET", Scheme: "http", Host: "x", Path: "/shop"})
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	if r.Auth == nil || r.Auth.Verdict != Passes || !r.Auth.Anonymous || !strings.Contains(text.String(), "passes without identity") {
		t.Errorf("%+v\n%s", r.Auth, text.String())
	}
	for _, asks := range []string{`rule request.method == "GET"`, "role one of a, b"} {
		if !slices.Contains(r.Auth.AnyOf[0].Asks, asks) {
			t.Errorf("asks %q, and not %q", r.Auth.AnyOf[0].Asks, asks)
		}
	}
	bad := Explain(t.Context(), Options{Config: c}, Asked{
		Method: "GET", Scheme: "http", Host: "x", Path: "/shop", Headers: [][2]string{{"Authorization", "Bearer x"}},
	})
	if bad.Auth.Verdict != Denied || bad.Auth.Anonymous {
		t.Errorf("a bad token: %+v", bad.Auth)
	}
}
