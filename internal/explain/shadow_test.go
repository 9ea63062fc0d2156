package explain

import (
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// A requirement in shadow is shown apart, with what it would answer, and does not
// make the request a denied one.
func TestExplainShadow(t *testing.T) {
	t.Parallel()
	var all []*config.Requirement // what is asked of everybody
	explain := func(modes ...config.RequirementMode) (*Auth, string) {
		var asks []*config.Requirement
		for _, mode := range modes {
			asks = append(asks, &config.Requirement{JWT: "main", Mode: mode})
		}
		c := &config.Config{
			Auth: config.Providers{JWT: map[string]*config.JWT{"main": {Name: "main", Issuer: "i", Audiences: []string{"a"}}}},
			Routes: []*config.Route{{
				Name: "shop", Match: config.Match{Path: "/shop"}, Auth: &config.RouteAuth{AnyOf: asks, AllOf: all}, Respond: &config.Respond{Status: 204},
			}},
		}
		r := Explain(t.Context(), Options{Config: c}, Asked{Method: "GET", Scheme: "http", Host: "x", Path: "/shop"})
		var text strings.Builder
		if err := r.Write(&text); err != nil {
			t.Fatal(err)
		}
		return r.Auth, text.String()
	}
	a, text := explain(config.ModeShadow)
	if a.Verdict != Passes || a.Denied != nil || a.Shadow == nil || a.Shadow.Verdict != Denied || a.Shadow.Denied.Reason != "credential-missing" || len(a.Shadow.AnyOf) != 1 ||
		!strings.Contains(text, "auth: passes, all that is asked is in shadow\n") || !strings.Contains(text, "in shadow, not enforced: denied, 401 credential-missing") {
		t.Errorf("alone: %+v\n%s", a, text)
	}
	a, text = explain(config.ModeShadow, config.ModeEnforce)
	if a.Verdict != Denied || a.Shadow == nil || len(a.AnyOf) != 1 ||
		!strings.Contains(text, "auth: denied, 401 credential-missing") || !strings.Contains(text, "in shadow, not enforced: denied") {
		t.Errorf("beside another: %+v\n%s", a, text)
	}
	all = []*config.Requirement{{JWT: "main"}}
	a, text = explain(config.ModeShadow)
	if a.Public || a.Verdict != Denied || len(a.AnyOf) != 0 || len(a.AllOf) != 1 || a.Shadow == nil || len(a.Shadow.AnyOf) != 1 || len(a.Shadow.AllOf) != 1 ||
		!strings.Contains(text, "auth: denied, 401 credential-missing") ||
		!strings.Contains(text, "one of these, beside all that the route asks of everybody:") {
		t.Errorf("beside all: %+v\n%s", a, text)
	}
	all = nil
	if a, text = explain(config.ModeEnforce); a.Shadow != nil || strings.Contains(text, "shadow") {
		t.Errorf("nothing in shadow: %+v\n%s", a, text)
	}
}
