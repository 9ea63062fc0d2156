package main

import (
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/plan"
)

func TestWherePoliciesRunIsPrinted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		all  []plan.Placement
		now  []plan.PlacementReason
		want string
	}{
		"nobody is asked": {all: []plan.Placement{{Listener: "public", Unjudged: 7}}},
		"all inside": {
			all: []plan.Placement{{Listener: "public", InEnvoy: plan.RoutesAndPolicies{Routes: 3, Policies: 1}}},
			want: "LISTENER  JUDGED IN ENVOY         ASKED ABOUT  NOT JUDGED\n" +
				"public    3 routes of 1 policy  none         0 routes\n",
		},
		"some, and a breaker": {
			all: []plan.Placement{{
				Listener: "public", InEnvoy: plan.RoutesAndPolicies{Routes: 1, Policies: 1}, Asked: plan.RoutesAndPolicies{Routes: 5, Policies: 2}, Unjudged: 1,
				Why: []plan.PlacementReason{{Reason: "no jwt is asked for", Routes: 5, Examples: []string{"a", "b", "c"}}},
			}},
			now: []plan.PlacementReason{{Reason: "the breaker of backend app is not closed", Routes: 1, Examples: []string{"users"}}},
			want: "LISTENER  JUDGED IN ENVOY        ASKED ABOUT             NOT JUDGED\n" +
				"public    1 route of 1 policy  5 routes of 2 policies  1 route\n" +
				"  public: asked about since no jwt is asked for: a, b, c and 2 more\n" +
				"asked about at the moment, since the breaker of backend app is not closed: users\n",
		},
	} {
		var got strings.Builder
		if err := printPlacement(&got, c.all, c.now); err != nil {
			t.Fatal(err)
		}
		if squeeze(got.String()) != squeeze(c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, &got, c.want)
		}
	}
}

// squeeze is text whose columns stand apart by one space.
func squeeze(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		out = append(out, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(out, "\n")
}
