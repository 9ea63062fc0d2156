package config

import (
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
	// variables is how many the path has.
	variables int
	// suffix is the shortest *.suffix among the hosts, without its star, where
	// there is one; named tells that there are hosts at all.
	named          bool
	suffix         string
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
		priority:  r.Priority,
		path:      path,
		variables: path.Variables(),
		named:     len(r.Match.Hosts) > 0,
		suffix:    shortestSuffix(r.Match.Hosts),
		methods:   len(r.Match.Methods) > 0,
		headers:   len(r.Match.Headers),
		query:     len(r.Match.Query),
		exact:     exactValues(r.Match.Headers) + exactValues(r.Match.Query),
		name:      r.Name,
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

func shortestSuffix(hosts []string) string {
	shortest := ""
	for _, h := range hosts {
		if suffix, ok := strings.CutPrefix(h, "*"); ok && (shortest == "" || len(suffix) < len(shortest)) {
			shortest = suffix
		}
	}
	return shortest
}

// Variables is how many of the segments are variables.
func (p PathPattern) Variables() int {
	count := 0
	for _, s := range p.Segments {
		if s.Variable != "" {
			count++
		}
	}
	return count
}

// Compare is less than 0 where a goes before b, and 0 only for routes of one
// name: of valid routes it is a total order.
func Compare(a, b *Route) int {
	s, t := a.Specificity(), b.Specificity()
	return s.Compare(&t)
}

// Compare is less than 0 where s goes before t. The rules are those of
// precedences.
func (s *Specificity) Compare(t *Specificity) int {
	order, _ := compare(s, t)
	return order
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
	ranking := make([]*ranked, len(c.Routes))
	for i, r := range c.Routes {
		ranking[i] = &ranked{r.Specificity(), r}
	}
	slices.SortFunc(ranking, func(a, b *ranked) int { return a.Compare(&b.Specificity) })
	routes := make([]*Route, len(ranking))
	for i, r := range ranking {
		routes[i] = r.route
	}
	return routes
}
