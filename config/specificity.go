package config

import (
	"cmp"
	"slices"
	"strings"
)

// Specificity is where a route stands among the others: the first of them that
// takes a request serves it. It follows from the route alone, and never from
// where the route stands in the file.
//
// A route that names several hosts is as specific as the least specific of
// them. Nothing is decided by chance in that way: two routes that are equally
// specific and share a request are a fault of the config.
type Specificity struct {
	priority int
	path     PathPattern
	// suffix is the length of the shortest *.suffix among the hosts, where
	// there is one; named tells that there are hosts at all.
	named          bool
	suffix         int
	methods        bool
	headers, query int
	exact          int
	name           string
}

// Specificity is how specific a valid route is.
func (r *Route) Specificity() Specificity {
	// A valid route has a valid path. Any other sorts as if it were empty.
	path, _ := ParsePath(r.Match.Path)
	return Specificity{
		priority: r.Priority,
		path:     path,
		named:    len(r.Match.Hosts) > 0,
		suffix:   shortestSuffix(r.Match.Hosts),
		methods:  len(r.Match.Methods) > 0,
		headers:  len(r.Match.Headers),
		query:    len(r.Match.Query),
		exact:    exactValues(r.Match.Headers) + exactValues(r.Match.Query),
		name:     r.Name,
	}
}

// Path is the route's path, parsed.
func (s Specificity) Path() PathPattern { return s.path }

// exactValues is how many values are said in full, rather than by a prefix, an
// expression, or their presence.
func exactValues(values map[string]ValueMatch) int {
	n := 0
	for _, v := range values {
		if v.IsExact() {
			n++
		}
	}
	return n
}

func shortestSuffix(hosts []string) int {
	shortest := 0
	for _, h := range hosts {
		if suffix, ok := strings.CutPrefix(h, "*"); ok && (shortest == 0 || len(suffix) < shortest) {
			shortest = len(suffix)
		}
	}
	return shortest
}

// Compare is less than 0 where a goes before b, and 0 only for routes of one
// name: of valid routes it is a total order.
func Compare(a, b *Route) int { return a.Specificity().Compare(b.Specificity()) }

// Compare is less than 0 where s goes before t. The rules, each where those
// above it tell nothing apart:
func (s Specificity) Compare(t Specificity) int {
	return cmp.Or(
		cmp.Compare(t.priority, s.priority), // the higher priority
		s.path.compare(t.path),
		compareHosts(s, t),
		trueFirst(s.methods, t.methods),   // named methods before every method
		cmp.Compare(t.headers, s.headers), // more headers
		cmp.Compare(t.query, s.query),     // more query parameters
		cmp.Compare(t.exact, s.exact),     // more values that are said in full
		strings.Compare(s.name, t.name),   // neither is more specific: any fixed order
	)
}

// compare orders patterns so that of two that share a path, the narrower one is
// first: exact, then with variables, then with **; the longer one; the one with
// more literals; the one whose literals come earlier. Patterns that share no
// path are in an order that is only fixed.
func (p PathPattern) compare(q PathPattern) int {
	return cmp.Or(
		cmp.Compare(p.class(), q.class()),
		cmp.Compare(len(q.Segments), len(p.Segments)),
		cmp.Compare(p.variables(), q.variables()),
		slices.CompareFunc(p.Segments, q.Segments, compareSegments),
	)
}

// class is 0 for an exact path, 1 with variables, 2 with ** (and any variables).
func (p PathPattern) class() int {
	switch {
	case p.Rest:
		return 2
	case p.variables() > 0:
		return 1
	}
	return 0
}

func (p PathPattern) variables() int {
	count := 0
	for _, s := range p.Segments {
		if s.Variable != "" {
			count++
		}
	}
	return count
}

// compareSegments orders literals before variables, whatever their names.
func compareSegments(a, b Segment) int {
	return cmp.Or(
		trueFirst(a.Variable == "", b.Variable == ""),
		strings.Compare(a.Literal, b.Literal),
	)
}

// compareHosts orders exact hosts before suffixes, longer suffixes before
// shorter ones, and every host last.
func compareHosts(s, t Specificity) int {
	return cmp.Or(
		trueFirst(s.named, t.named),
		trueFirst(s.suffix == 0, t.suffix == 0),
		cmp.Compare(t.suffix, s.suffix),
	)
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// RoutesBySpecificity are the routes in the order in which they are tried. The
// list is the caller's own, the routes are not.
func (c *Config) RoutesBySpecificity() []*Route {
	type ranked struct {
		Specificity
		route *Route
	}
	ranking := make([]ranked, len(c.Routes))
	for i, r := range c.Routes {
		ranking[i] = ranked{r.Specificity(), r}
	}
	slices.SortFunc(ranking, func(a, b ranked) int { return a.Compare(b.Specificity) })
	routes := make([]*Route, len(ranking))
	for i, r := range ranking {
		routes[i] = r.route
	}
	return routes
}
