package xds

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/gatewright/gatewright/config"
)

// A virtual host finds its route in trees rather than in a list. Envoy tries a
// list from its first route on: with ten thousand of them it serves a
// twentieth of the requests that it serves with ten.
//
// A tree is a map from literal beginnings of treePath to the routes under them.
// Envoy looks under the longest one that a request has and, where nothing
// there fits, under the next shorter one. Every route stands in one tree once,
// under the literal beginning of its pattern; the routes of a tree are such that
// from the longest beginning to the shortest is from the most specific to the
// least. Where that is not so, there are several trees, searched in turn.
//
// A tree is built by Envoy whenever one of its routes changes, and a condition
// costs as much as a route: an expression three times that. So whatever the
// place of a route says of its path is not asked again, and of a thousand paths
// of four segments nobody asks one by one whether they have four.

// treeRoute is one of Envoy's routes on its way into a tree.
type treeRoute struct {
	// place is the path of the route of ours that it stands for, and says, with
	// that route's priority, where it is looked for: in which group and under
	// which beginning.
	place     config.PathPattern
	group     group
	beginning string
	// path and methods are its own conditions; match has them, too. Only a
	// preflight has another path than its place.
	path    config.PathPattern
	methods []string
	match   *routev3.RouteMatch
	// found is the end of the search: the route, with no condition.
	found *matcherv3.Matcher_OnMatch
}

// newTreeRoute is one of Envoy's routes, which nobody else must hold.
func newTreeRoute(priority int, place, path config.PathPattern, methods []string, r *routev3.Route) *treeRoute {
	match := r.Match
	r.Match = anyRequest()
	return &treeRoute{
		place:     place,
		group:     groupOf(priority, place),
		beginning: literalBeginning(place),
		path:      path,
		methods:   methods,
		match:     match,
		found:     takes(r),
	}
}

// conditional is the route with its conditions.
func (t *treeRoute) conditional() *routev3.Route {
	r := &routev3.Route{}
	if err := t.found.GetAction().GetTypedConfig().UnmarshalTo(r); err != nil {
		panic(fmt.Sprintf("xds: reading what was packed: %v", err)) // see mustAny
	}
	r.Match = t.match
	return r
}

// routeTree is the matcher of a virtual host; the most specific route is the
// first of the routes, and host is what the config calls it. What is refused goes before any of them, and so do
// challenges; what none takes is answered by notFound.
func routeTree(host string, routes []*treeRoute, strangers, challenges Decision) *matcherv3.Matcher {
	t := trees{newRivals(routes, strangers)}
	inTurn := &matcherv3.Matcher_MatcherList{Matchers: append(refusals(host, strangers), challenged(challenges)...)}
	for _, of := range groups(routes) {
		inTurn.Matchers = append(inTurn.Matchers, &matcherv3.Matcher_MatcherList_FieldMatcher{
			Predicate: of.condition(),
			OnMatch:   goesOn(t.tree(of)),
		})
	}
	return listed(inTurn, takes(notFound(strangers)))
}

// group is what may share a tree: routes of which, wherever two take a common
// path, the one with the longer literal beginning is the more specific.
//
// Without variables, that is all patterns that are exact, and all with /**. With
// them, it is those of equal form. Two examples of what may not: /{x}/b goes
// before /a/{y} only where variables are equal in number, and by its length
// /{x}/b/** goes before /a/**.
type group struct {
	priority int
	kind     pathKind
	// For patterns with variables alone: how many segments and variables they
	// have, and whether the last segment is empty.
	segments, variables int
	slash               bool
}

// pathKind is a kind of pattern; the narrower goes first.
type pathKind int

const (
	exactPath pathKind = iota
	variablePath
	restPath // with /**, perhaps with variables
)

func groupOf(priority int, place config.PathPattern) group {
	g := group{priority: priority, variables: place.Variables()}
	switch {
	case place.Rest:
		g.kind = restPath
	case g.variables > 0:
		g.kind = variablePath
	}
	if g.variables > 0 {
		g.segments = len(place.Segments)
		g.slash = place.Segments[g.segments-1] == config.Segment{}
	}
	return g
}

// compare orders groups as their routes are, except that those with a final
// slash, which share no path with others, stand together.
func (g group) compare(other group) int {
	order := cmp.Or(cmp.Compare(other.priority, g.priority), cmp.Compare(g.kind, other.kind))
	if order != 0 || g.kind != variablePath {
		return order
	}
	if order = cmp.Compare(other.segments, g.segments); order != 0 || g.slash == other.slash {
		return cmp.Or(order, cmp.Compare(g.variables, other.variables))
	}
	if g.slash {
		return -1
	}
	return 1
}

// mostCounted is how many segments an expression counts at most: they are
// copies of one another in its program.
const mostCounted = 100

// counted tells whether condition says how many segments a path has, of which
// none is empty, but for that of a final slash.
func (g group) counted() bool { return g.variables > 0 && g.segments <= mostCounted }

// condition is what holds for every path that a route of the group takes.
func (g group) condition() *predicate {
	if !g.counted() {
		return always()
	}
	full := g.segments
	if g.slash {
		full--
	}
	regex := fmt.Sprintf("(?:/[^/]+){%d}/", full)
	switch {
	case g.slash:
		regex += "/"
	case g.kind == restPath:
		regex += anyBytes
	}
	return holds(treePath, fitsExpression(regex))
}

// grouped are routes of one group, the most specific first.
type grouped struct {
	group
	routes []*treeRoute
}

// groups are the routes in groups to be searched in turn. In each they keep
// the order of their specificity.
func groups(routes []*treeRoute) []grouped {
	routes = slices.Clone(routes)
	slices.SortStableFunc(routes, func(a, b *treeRoute) int { return a.group.compare(b.group) })
	var out []grouped
	for members := range runs(routes, func(a, b *treeRoute) bool { return a.group == b.group }) {
		out = append(out, grouped{members[0].group, members})
	}
	return out
}

// trees builds the trees of one virtual host.
type trees struct{ rivals *rivals }

// tree is the tree of one group.
func (t trees) tree(of grouped) *matcherv3.Matcher {
	byBeginning := map[string][]*treeRoute{}
	for _, r := range of.routes {
		byBeginning[r.beginning] = append(byBeginning[r.beginning], r)
	}
	under := make(map[string]*matcherv3.Matcher_OnMatch, len(byBeginning))
	for beginning, routes := range byBeginning {
		under[beginning] = t.under(of.group, routes)
	}
	if of.kind == exactPath {
		return byValue(treePath, under)
	}
	return byPrefix(treePath, under)
}

// literalBeginning is what treePath begins with for every path that the pattern
// takes, and all of it for an exact one.
func literalBeginning(p config.PathPattern) string {
	var b strings.Builder
	for _, s := range p.Segments {
		b.WriteByte('/')
		if s.Variable != "" {
			return b.String()
		}
		b.WriteString(s.Literal)
	}
	b.WriteByte('/')
	return b.String()
}

// under is the search among the routes of one literal beginning.
func (t trees) under(g group, routes []*treeRoute) *matcherv3.Matcher_OnMatch {
	list := &matcherv3.Matcher_MatcherList{}
	for ofPath := range runs(routes, samePath) {
		asked := pathCondition(g, ofPath[0])
		if asked == nil && len(list.Matchers) == 0 && len(ofPath) == len(routes) {
			return t.ofPath(ofPath)
		}
		list.Matchers = append(list.Matchers, &matcherv3.Matcher_MatcherList_FieldMatcher{
			Predicate: orAlways(asked),
			OnMatch:   t.ofPath(ofPath),
		})
	}
	return goesOn(listed(list, nil))
}

// ofPath is the search among routes of one path, with all their conditions in
// the matcher, so that it goes on where they do not hold. Only those on query
// parameters Envoy knows in a route alone, and with a route the search ends:
// such a route takes its rivals with it.
func (t trees) ofPath(routes []*treeRoute) *matcherv3.Matcher_OnMatch {
	if len(routes) > 1 {
		if m := byMethod(routes); m != nil {
			return goesOn(m)
		}
	}
	list := &matcherv3.Matcher_MatcherList{}
	var ends []*treeRoute
	for _, r := range routes {
		if slices.ContainsFunc(ends, func(e *treeRoute) bool { return e.takesAllOf(r) }) {
			continue // it is among the rivals of that one
		}
		found := r.found
		if r.asksQuery() {
			found = takesFirst(t.rivals.from(r))
			ends = append(ends, r)
		}
		if len(r.match.GetHeaders()) == 0 {
			if len(list.Matchers) == 0 {
				return found
			}
			return goesOn(listed(list, found))
		}
		list.Matchers = append(list.Matchers, &matcherv3.Matcher_MatcherList_FieldMatcher{
			Predicate: allOf(headerConditions(r)),
			OnMatch:   found,
		})
	}
	return goesOn(listed(list, nil))
}

// byMethod is the search among routes of one path that nothing but one method
// each tells apart; the last may have every method. It is nil where they are
// not so.
func byMethod(routes []*treeRoute) *matcherv3.Matcher {
	of := make(map[string]*matcherv3.Matcher_OnMatch, len(routes))
	for i, r := range routes {
		if r.asksQuery() || len(r.otherHeaders()) > 0 {
			return nil
		}
		switch len(r.methods) {
		case 0:
			if i < len(routes)-1 {
				return nil
			}
			m := byValue(methodInput, of)
			m.OnNoMatch = r.found
			return m
		case 1:
			if of[r.methods[0]] != nil {
				return nil
			}
			of[r.methods[0]] = r.found
		default:
			return nil
		}
	}
	return byValue(methodInput, of)
}

// samePath tells whether two patterns take the same paths: variables may have
// other names.
func samePath(a, b *treeRoute) bool {
	return a.path.Rest == b.path.Rest && slices.EqualFunc(a.path.Segments, b.path.Segments, func(s, t config.Segment) bool {
		return s.Literal == t.Literal && (s.Variable == "") == (t.Variable == "")
	})
}

// runs are the longest parts of a list of which all members are alike.
func runs[E any](list []E, alike func(a, b E) bool) iter.Seq[[]E] {
	return func(yield func([]E) bool) {
		for len(list) > 0 {
			n := 1
			for n < len(list) && alike(list[0], list[n]) {
				n++
			}
			if !yield(list[:n:n]) {
				return
			}
			list = list[n:]
		}
	}
}
