package config

import (
	"testing"

	"pgregory.net/rapid"
)

// TestDecisions says for each rule what it decides, and in which words.
func TestDecisions(t *testing.T) {
	match := func(m Match) Route { return Route{Name: "b", Match: m} }
	values := func(names ...string) map[string]ValueMatch {
		all := map[string]ValueMatch{}
		for _, n := range names {
			all[n] = ValueMatch{Present: true}
		}
		return all
	}
	for _, c := range []struct {
		first, second Route
		want          Decision
	}{
		{Route{Priority: 10, Match: Match{Path: "/**"}}, Route{Match: Match{Path: "/a"}},
			Decision{ByPriority, "priority", "is 10", "is 0"}},
		{match(Match{Path: "/a"}), match(Match{Path: "/a/b/**"}), Decision{ByPathKind, "path", "is exact", "ends in /**"}},
		{match(Match{Path: "/{x}"}), match(Match{Path: "/**"}), Decision{ByPathKind, "path", "has variables", "ends in /**"}},
		{match(Match{Path: "/a/b/**"}), match(Match{Path: "/a/**"}), Decision{ByPathLength, "path", "has 2 segments", "has 1 segment"}},
		{match(Match{Path: "/a/{x}"}), match(Match{Path: "/{x}/{y}"}), Decision{ByVariables, "path", "has 1 variable", "has 2 variables"}},
		{match(Match{Path: "/a/{x}"}), match(Match{Path: "/{x}/a"}), Decision{ByLiterals, "path", "is /a/{x}", "is /{x}/a"}},
		{match(Match{Path: "/", Hosts: []string{"a.com"}}), match(Match{Path: "/", Hosts: []string{"b.com", "*.com"}}),
			Decision{ByHosts, "host", "is named", "may be *.com"}},
		{match(Match{Path: "/", Hosts: []string{"*.x.com"}}), match(Match{Path: "/"}), Decision{ByHosts, "host", "may be *.x.com", "may be any"}},
		{match(Match{Path: "/", Methods: []string{"GET"}}), match(Match{Path: "/"}), Decision{ByMethods, "method", "is named", "may be any"}},
		{match(Match{Path: "/", Headers: values("A")}), match(Match{Path: "/"}), Decision{ByHeaders, "match", "has 1 header", "has 0 headers"}},
		{match(Match{Path: "/", Query: values("a", "b")}), match(Match{Path: "/", Query: values("a")}),
			Decision{ByQuery, "match", "has 2 query parameters", "has 1 query parameter"}},
		{match(Match{Path: "/", Query: map[string]ValueMatch{"a": {Exact: "1"}}}), match(Match{Path: "/", Query: values("b")}),
			Decision{ByExactValues, "match", "says 1 value in full", "says 0 values in full"}},
		{Route{Name: "a", Match: Match{Path: "/"}}, match(Match{Path: "/"}), Decision{ByName, "name", "is a", "is b"}},
	} {
		for _, swap := range []bool{false, true} {
			s, u := c.first.Specificity(), c.second.Specificity()
			if swap {
				s, u = u, s
			}
			if got, decided := Decide(s, u); !decided || got != c.want {
				t.Errorf("%+v before %+v: %+v, want %+v", c.first.Match, c.second.Match, got, c.want)
			}
		}
	}
}

// TestDecidedWhereCompared: there is a decision exactly where there is an order.
func TestDecidedWhereCompared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := drawRoutes(t, 2, 2, drawPattern)
		s, u := routes[0].Specificity(), routes[1].Specificity()
		if _, decided := Decide(s, u); decided != (s.Compare(&u) != 0) {
			t.Fatalf("decided is %v, compared is %d", decided, s.Compare(&u))
		}
		if _, decided := Decide(s, s); decided {
			t.Fatal("a route is decided to go before itself")
		}
	})
}
