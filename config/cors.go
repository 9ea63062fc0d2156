package config

import (
	"slices"
)

// AllowedMethods are the methods that pages of other origins may use on a
// route with a CORS policy.
func (r *Route) AllowedMethods() []string {
	if len(r.CORS.Methods) > 0 {
		return r.CORS.Methods
	}
	return r.Match.takenMethods()
}

// takenMethods are the methods that a match takes, of those that can be named.
func (m *Match) takenMethods() []string {
	if len(m.Methods) > 0 {
		return m.Methods
	}
	return methods
}

// Closed is a part of the requests that a route with a CORS policy would take
// if a more specific route without one did not: pages may not call it.
type Closed struct {
	Route   *Route
	Methods []string
}

// ClosedWithin are, for each of these routes with a CORS policy, the parts of it
// that belong to others of them, in the order of specificity. A preflight for them would
// be answered by that policy, since they take no OPTIONS request themselves, and
// let pages in where nobody said so. Routes that only headers tell apart are not
// among them: their preflights are the same.
func ClosedWithin(routes []*Route) map[*Route][]Closed {
	if !slices.ContainsFunc(routes, func(r *Route) bool { return r.CORS != nil }) {
		return nil
	}
	open, mute := byPreflights(routes)
	out := map[*Route][]Closed{}
	for _, r := range open {
		for _, other := range mute.near(r.path) {
			shared := intersection(other.Match.Methods, r.Match.takenMethods())
			if len(shared) > 0 && r.path.Overlaps(other.path) && hostsOverlap(other.Match.Hosts, r.Match.Hosts) && Compare(other.Route, r.Route) < 0 {
				out[r.Route] = append(out[r.Route], Closed{Route: other.Route, Methods: shared})
			}
		}
		slices.SortFunc(out[r.Route], func(a, b Closed) int { return Compare(a.Route, b.Route) })
	}
	return out
}

// parsedRoute is a route with its path, read once.
type parsedRoute struct {
	*Route
	path PathPattern
}

// byBeginning are routes by the first segment of their paths, so that in a large
// config few are compared; "" holds those that begin with anything.
type byBeginning map[string][]parsedRoute

// byPreflights are the routes with a policy for preflights, and those that
// neither have one nor take OPTIONS requests.
func byPreflights(routes []*Route) (open []parsedRoute, mute byBeginning) {
	mute = byBeginning{}
	for _, r := range routes {
		path, _ := ParsePath(r.Match.Path) // a valid route has a valid path
		parsed := parsedRoute{r, path}
		switch {
		case r.CORS != nil:
			open = append(open, parsed)
		case len(r.Match.Headers) == 0 && !slices.Contains(r.Match.takenMethods(), "OPTIONS"):
			mute[path.beginning()] = append(mute[path.beginning()], parsed)
		}
	}
	return open, mute
}

// near are the routes whose paths may overlap with a path.
func (m byBeginning) near(path PathPattern) []parsedRoute {
	if beginning := path.beginning(); beginning != "" {
		return slices.Concat(m[""], m[beginning])
	}
	var all []parsedRoute
	for _, routes := range m {
		all = append(all, routes...)
	}
	return all
}

// beginning is the first literal of a pattern, or nothing where it begins with a
// variable, with /** or with an empty segment.
func (p PathPattern) beginning() string {
	if len(p.Segments) == 0 {
		return ""
	}
	return p.Segments[0].Literal
}

func intersection(a, b []string) []string {
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

// hostsOverlap tells whether some host is among both lists; an empty one is
// every host.
func hostsOverlap(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(x string) bool {
		return slices.ContainsFunc(b, func(y string) bool { return HostCovers(x, y) || HostCovers(y, x) })
	})
}
