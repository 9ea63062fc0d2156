package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMostSpecificFirst is the rule of the design, an example each: the routes
// stand in the order in which they must be tried.
func TestMostSpecificFirst(t *testing.T) {
	for name, order := range map[string][]Route{
		"priority, whatever the rest": {
			{Priority: 2, Match: Match{Path: "/**"}},
			{Priority: 1, Match: Match{Path: "/a/{x}"}},
			{Match: Match{Path: "/a/b", Hosts: []string{"a.com"}, Methods: []string{"GET"}}},
			{Priority: -1, Match: Match{Path: "/a/b", Hosts: []string{"a.com"}, Methods: []string{"GET"}}},
		},
		"exact, variable, rest; longer first": {
			{Match: Match{Path: "/a/b/c"}},
			{Match: Match{Path: "/a/b"}},
			{Match: Match{Path: "/a/b/{x}"}},
			{Match: Match{Path: "/a/{x}/c"}},
			{Match: Match{Path: "/{x}/b/c"}},
			{Match: Match{Path: "/a/{x}/{y}"}},
			{Match: Match{Path: "/{x}"}},
			{Match: Match{Path: "/a/b/**"}},
			{Match: Match{Path: "/a/{x}/**"}},
			{Match: Match{Path: "/{x}/{y}/**"}},
			{Match: Match{Path: "/a/**"}},
			{Match: Match{Path: "/{x}/**"}},
			{Match: Match{Path: "/**"}},
		},
		"path before host": {
			{Match: Match{Path: "/a/b"}},
			{Match: Match{Path: "/a/**", Hosts: []string{"a.com"}}},
		},
		"hosts": {
			{Match: Match{Path: "/a", Hosts: []string{"b.com", "c.d.com"}}},
			{Match: Match{Path: "/a", Hosts: []string{"*.long.com"}}},
			{Match: Match{Path: "/a", Hosts: []string{"*.s.com", "a.very.long.com"}}},
			{Match: Match{Path: "/a", Hosts: []string{"*.com", "*.even.longer.com"}}},
			{Match: Match{Path: "/a", Methods: []string{"GET"}}},
		},
		"methods, headers, query, name": {
			{Match: Match{Path: "/a", Methods: []string{"GET", "PUT"}}},
			{Match: Match{Path: "/a", Headers: map[string]ValueMatch{"A": {Exact: "1"}, "B": {Exact: "1"}}}},
			{Match: Match{Path: "/a", Headers: map[string]ValueMatch{"A": {Exact: "1"}}, Query: map[string]ValueMatch{"a": {Exact: "1"}}}},
			{Match: Match{Path: "/a", Headers: map[string]ValueMatch{"A": {Exact: "1"}}}},
			{Match: Match{Path: "/a", Query: map[string]ValueMatch{"a": {Exact: "1"}}}},
			{Name: "a", Match: Match{Path: "/a"}},
			{Name: "b", Match: Match{Path: "/a"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range order {
				for j := range order {
					if got, want := sign(Compare(&order[i], &order[j])), sign(i-j); got != want {
						t.Errorf("%+v is compared to %+v as %d, want %d", order[i].Match, order[j].Match, got, want)
					}
				}
			}
		})
	}
}

func sign(n int) int { return max(-1, min(1, n)) }

var (
	someHosts   = []string{"a.x.com", "b.x.com", "a.b.x.com", "*.b.x.com", "*.x.com", "*.com", "a.org", "*.org"}
	someMethods = []string{"GET", "POST", "PUT"}
	someValues  = []ValueMatch{{Exact: "1"}, {Exact: "2"}, {Prefix: "1"}, {Regex: "1|2"}, {Present: true}, {Absent: true}}
	// requestHosts has a host for whatever two of someHosts share.
	requestHosts = []string{"a.x.com", "b.x.com", "z.x.com", "a.b.x.com", "z.b.x.com", "z.com", "a.org", "z.org", "z.net"}
)

// drawRoutes are valid routes that respond, named r0, r1 and so on, with paths
// of path. What they match is so little that they often share requests.
func drawRoutes(t *rapid.T, low, high int, path func(*rapid.T) string) []*Route {
	routes := make([]*Route, rapid.IntRange(low, high).Draw(t, "routes"))
	some := func(label string, values []string) []string {
		if rapid.Bool().Draw(t, "no "+label) {
			return nil
		}
		return rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, 2, rapid.ID[string]).Draw(t, label)
	}
	pairs := func(label string) map[string]ValueMatch {
		return rapid.MapOfN(rapid.Just("a"), rapid.SampledFrom(someValues), 0, 1).Draw(t, label)
	}
	for i := range routes {
		routes[i] = &Route{
			Name:     fmt.Sprintf("r%d", i),
			Priority: rapid.IntRange(0, 1).Draw(t, "priority"),
			Match: Match{
				Hosts: some("hosts", someHosts), Methods: some("methods", someMethods), Path: path(t),
				Headers: pairs("headers"), Query: pairs("query"),
			},
		}
	}
	return routes
}

func TestCompareIsATotalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := drawRoutes(t, 3, 3, drawPattern)
		a, b, c := routes[0], routes[1], routes[2]
		if got := Compare(a, a); got != 0 {
			t.Fatalf("a route is compared to itself as %d", got)
		}
		if sign(Compare(a, b)) != -sign(Compare(b, a)) {
			t.Fatalf("a to b is %d, b to a is %d", Compare(a, b), Compare(b, a))
		}
		if Compare(a, b) == 0 {
			t.Fatal("two routes of two names are equal")
		}
		if Compare(a, b) < 0 && Compare(b, c) < 0 && Compare(a, c) >= 0 {
			t.Fatal("a before b before c, and c before a")
		}
	})
}

func TestOrderIsNotThatOfTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := drawRoutes(t, 0, 8, drawPattern)
		want := (&Config{Routes: routes}).RoutesBySpecificity()
		shuffled := rapid.Permutation(routes).Draw(t, "shuffled")
		before := slices.Clone(shuffled)
		if got := (&Config{Routes: shuffled}).RoutesBySpecificity(); !slices.Equal(got, want) {
			t.Fatalf("order is %v, want %v", names(got), names(want))
		}
		if !slices.Equal(shuffled, before) {
			t.Fatal("the config's own list was sorted")
		}
	})
}

func names(routes []*Route) []string {
	var all []string
	for _, r := range routes {
		all = append(all, r.Name)
	}
	return all
}

// TestAmbiguousRoutesAreRefused holds the look-up that finds ambiguous routes
// to the plain rule: two routes are refused if they compare equal but for their
// names, want the same headers and query, and there is a host and a method that
// both take.
func TestAmbiguousRoutesAreRefused(t *testing.T) {
	onePath := func(*rapid.T) string { return "/{x}" }
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		routes := drawRoutes(t, 2, 10, onePath)
		want := map[string]bool{}
		for i, r := range routes {
			for _, above := range routes[:i] {
				if sharesRequests(above, r) && equalButForName(above, r) {
					want[r.Name] = true
				}
			}
		}
		got := map[string]bool{}
		for _, f := range faultsOf(t, written(routes)) {
			index := 0
			if _, err := fmt.Sscanf(f.Path, "routes[%d].match", &index); err != nil || !strings.Contains(f.Rule, "nothing tells them apart") {
				t.Fatalf("the generated config has another fault: %v", f)
			}
			if got[routes[index].Name] {
				t.Fatalf("%s is reported twice", routes[index].Name)
			}
			got[routes[index].Name] = true
		}
		if !maps.Equal(got, want) {
			t.Fatalf("refused are %v, want %v, of\n%s", sorted(got), sorted(want), written(routes))
		}
		refused += len(got)
	})
	if refused == 0 {
		t.Error("no drawn config had ambiguous routes")
	}
}

func equalButForName(a, b *Route) bool {
	s, u := a.Specificity(), b.Specificity()
	s.name, u.name = "", ""
	return s.Compare(&u) == 0
}

// sharesRequests asks every request there is, in a world of few hosts and
// methods. Routes that compare equal have the same path.
func sharesRequests(a, b *Route) bool {
	if !maps.Equal(a.Match.Headers, b.Match.Headers) || !maps.Equal(a.Match.Query, b.Match.Query) {
		return false
	}
	for _, host := range requestHosts {
		for _, method := range someMethods {
			if takes(&a.Match, host, method) && takes(&b.Match, host, method) {
				return true
			}
		}
	}
	return false
}

func takes(m *Match, host, method string) bool {
	byHost := len(m.Hosts) == 0 || slices.ContainsFunc(m.Hosts, func(h string) bool {
		suffix, ok := strings.CutPrefix(h, "*")
		return h == host || ok && strings.HasSuffix(host, suffix)
	})
	return byHost && (len(m.Methods) == 0 || slices.Contains(m.Methods, method))
}

// written is a config with the routes, as a file.
func written(routes []*Route) string {
	var b strings.Builder
	b.WriteString("listeners: [{name: public, address: 0.0.0.0:8080}]\nroutes:\n")
	for _, r := range routes {
		fmt.Fprintf(&b, "  - {name: %s, priority: %d, match: {path: %q, hosts: %s, methods: %s, headers: %s, query: %s}, auth: public, respond: {status: 200}}\n",
			r.Name, r.Priority, r.Match.Path, flowList(r.Match.Hosts), flowList(r.Match.Methods), flowMap(r.Match.Headers), flowMap(r.Match.Query))
	}
	return b.String()
}

func flowList(values []string) string {
	var quotedValues []string
	for _, v := range values {
		quotedValues = append(quotedValues, fmt.Sprintf("%q", v))
	}
	return "[" + strings.Join(quotedValues, ", ") + "]"
}

func flowMatch(m ValueMatch) string {
	switch {
	case m.Prefix != "":
		return fmt.Sprintf("{prefix: %q}", m.Prefix)
	case m.Regex != "":
		return fmt.Sprintf("{regex: %q}", m.Regex)
	case m.Present:
		return "{present: true}"
	case m.Absent:
		return "{absent: true}"
	default:
		return fmt.Sprintf("%q", m.Exact)
	}
}

func flowMap(values map[string]ValueMatch) string {
	var entries []string
	for _, k := range sorted(values) {
		entries = append(entries, fmt.Sprintf("%q: %s", k, flowMatch(values[k])))
	}
	return "{" + strings.Join(entries, ", ") + "}"
}
