package xds

import (
	"cmp"
	"math"
	"slices"
	"strings"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatewright/gatewright/config"
)

// A virtual host finds its route in trees rather than in a list. Envoy tries a
// list from its first route on: with ten thousand of them it serves a
// twentieth of the requests that it serves with ten.
//
// A tree is a map from literal prefixes of :path to the routes under them.
// Envoy looks under the longest prefix that a request has and, where nothing
// there fits, under the next shorter one. Every route stands in one tree once,
// under the literal prefix of its pattern; the routes of a tree are such that
// from the longest prefix to the shortest is from the most specific to the
// least. Where that is not so, there are several trees, searched in turn.

// treeRoute is one of Envoy's routes on its way into a tree.
type treeRoute struct {
	// priority and place are those of the route of ours that it stands for, and
	// say where it is looked for.
	priority int
	place    config.PathPattern
	// path and methods are its own conditions; envoy has them, too. Where it is
	// looked for there may be other paths.
	path    config.PathPattern
	methods []string
	envoy   *routev3.Route
}

// routeTree is the matcher of a virtual host; the most specific route is the
// first of the routes. What is refused goes before any of them, and what none
// takes is answered by notFound.
func routeTree(routes []treeRoute) *matcherv3.Matcher {
	rivals := newRivals(routes)
	inTurn := &matcherv3.Matcher_MatcherList{Matchers: refusals()}
	for _, members := range groups(routes) {
		inTurn.Matchers = append(inTurn.Matchers, &matcherv3.Matcher_MatcherList_FieldMatcher{
			Predicate: holds(pathInput, hasPrefix("/")),
			OnMatch:   goesOn(prefixTree(members, rivals)),
		})
	}
	return listed(inTurn, takes(notFound()))
}

// group is what may share a tree: routes of which, wherever two take a common
// path, the one with the longer literal prefix is the more specific.
//
// Without variables, that is all patterns, exact or with /**. With them, it is
// those of equal form. Two examples of what may not: /{x}/b goes before
// /a/{y} only where variables are equal in number, and by its length /{x}/b/**
// goes before /a/**.
type group struct {
	priority            int
	rest                bool
	variables, segments int
}

func groupOf(r treeRoute) group {
	variables := r.place.Variables()
	switch {
	case variables == 0:
		return group{priority: r.priority}
	case r.place.Rest:
		return group{r.priority, true, variables, len(r.place.Segments)}
	default:
		// Lengths may differ: patterns of different lengths share no path.
		return group{priority: r.priority, variables: variables}
	}
}

// groups are the routes in groups to be searched in turn. In each they keep
// the order of their specificity.
func groups(routes []treeRoute) [][]treeRoute {
	type grouped struct {
		treeRoute
		group group
	}
	all := make([]grouped, len(routes))
	for i, r := range routes {
		all[i] = grouped{r, groupOf(r)}
	}
	// Specificity has the longer of two exact patterns first, whatever their
	// variables; groups want each number of variables together.
	slices.SortStableFunc(all, func(a, b grouped) int {
		return cmp.Or(
			cmp.Compare(b.priority, a.priority),
			cmp.Compare(formOf(a.place, a.group), formOf(b.place, b.group)),
		)
	})
	var out [][]treeRoute
	for i, r := range all {
		if i == 0 || r.group != all[i-1].group {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], r.treeRoute)
	}
	return out
}

// formOf orders exact paths by the number of their variables, and before /**.
func formOf(p config.PathPattern, g group) int {
	if p.Rest {
		return math.MaxInt
	}
	return g.variables
}

// prefixTree is the tree of one group.
func prefixTree(routes []treeRoute, rivals *rivals) *matcherv3.Matcher {
	byPrefix := map[string][]treeRoute{}
	for _, r := range routes {
		prefix := literalPrefix(r.place)
		byPrefix[prefix] = append(byPrefix[prefix], r)
	}
	under := make(map[string]*matcherv3.Matcher_OnMatch, len(byPrefix))
	for prefix, members := range byPrefix {
		under[prefix] = goesOn(listed(fieldMatchers(members, rivals), nil))
	}
	return &matcherv3.Matcher{MatcherType: &matcherv3.Matcher_MatcherTree_{MatcherTree: &matcherv3.Matcher_MatcherTree{
		Input:    pathInput,
		TreeType: &matcherv3.Matcher_MatcherTree_PrefixMatchMap{PrefixMatchMap: &matcherv3.Matcher_MatcherTree_MatchMap{Map: under}},
	}}}
}

// literalPrefix is what every path begins with that the pattern takes.
func literalPrefix(p config.PathPattern) string {
	var b strings.Builder
	for _, s := range p.Segments {
		b.WriteByte('/')
		if s.Variable != "" {
			return b.String()
		}
		b.WriteString(s.Literal)
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// fieldMatchers are routes of one prefix, with all their conditions in the
// matcher, so that the search goes on where they do not hold. Only those on
// query parameters Envoy knows in a route alone, and with a route the search
// ends: such a route takes its rivals with it.
func fieldMatchers(routes []treeRoute, rivals *rivals) *matcherv3.Matcher_MatcherList {
	list := &matcherv3.Matcher_MatcherList{}
	ends := map[string][]treeRoute{} // those that end the search, by path
	for _, r := range routes {
		path := withoutNames(r.path)
		if slices.ContainsFunc(ends[path], func(e treeRoute) bool { return e.takesAllOf(r) }) {
			continue // it is among the rivals of that one
		}
		m := &matcherv3.Matcher_MatcherList_FieldMatcher{
			Predicate: allOf(append(pathConditions(r.path), headerConditions(r.envoy.GetMatch().GetHeaders())...)),
		}
		if r.asksQuery() {
			m.OnMatch = takesFirst(rivals.from(r))
			ends[path] = append(ends[path], r)
		} else {
			m.OnMatch = takes(unconditional(r.envoy))
		}
		list.Matchers = append(list.Matchers, m)
	}
	return list
}

// withoutNames is a pattern whose variables are all called the same: equal for
// patterns that take the same paths.
func withoutNames(p config.PathPattern) string {
	p.Segments = slices.Clone(p.Segments)
	for i := range p.Segments {
		if p.Segments[i].Variable != "" {
			p.Segments[i].Variable = "_"
		}
	}
	return p.String()
}

// unconditional is a route whose conditions have been seen to hold.
func unconditional(r *routev3.Route) *routev3.Route {
	out := &routev3.Route{}
	to := out.ProtoReflect()
	r.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		to.Set(field, value) // shared: neither is changed any more
		return true
	})
	out.Match = &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
	return out
}
