package config

import (
	"fmt"
	"strings"
)

// ambiguousRoutes refuses two routes that take the same request and that
// nothing tells apart. Each is reported once, against the first such route
// that stands above it.
//
// Routes are put into groups within which nothing but the host and the method
// can differ. In a group it is enough to look up each host and method of a
// route, so that a hundred thousand routes take no longer to judge than to read.
func (c *checker) ambiguousRoutes(at *place) {
	groups := map[string]*claims{}
	for i, r := range c.cfg.Routes {
		priority, at := at.index(i).key("priority"), at.index(i).key("match")
		if _, err := ParsePath(r.Match.Path); err != nil || !c.report.trusted(at) || !c.report.trusted(priority) {
			continue // has faults already, and might be another route without them
		}
		key := sameButHosts(r)
		group := groups[key]
		if group == nil {
			group = &claims{named: map[claim]int{}, within: map[claim]int{}}
			groups[key] = group
		}
		if first, taken := group.take(r, i); taken {
			other := c.cfg.Routes[first]
			line := c.line(new(place).key("routes").index(first))
			c.obey(at, fmt.Sprintf("route %s takes the same requests as route %s on line %d, and nothing tells them apart: "+
				"give one of them a priority", quoted(r.Name), quoted(other.Name), line))
		}
	}
}

// sameButHosts is equal for routes that are equally specific and match the
// same path, headers and query.
func sameButHosts(r *Route) string {
	s := r.Specificity()
	var b strings.Builder
	fmt.Fprintf(&b, "%d %t %d %t\n", s.priority, s.named, len(s.suffix), s.methods)
	for _, segment := range s.path.Segments {
		if segment.Variable != "" {
			b.WriteString("/{}") // no literal has a brace
		} else {
			b.WriteString("/" + segment.Literal)
		}
	}
	fmt.Fprintf(&b, "%t\n", s.path.Rest)
	for _, name := range sorted(r.Match.Headers) {
		fmt.Fprintf(&b, "%q:%q ", strings.ToLower(name), fmt.Sprint(r.Match.Headers[name]))
	}
	b.WriteByte('\n')
	for _, name := range sorted(r.Match.Query) {
		fmt.Fprintf(&b, "%q=%q ", name, fmt.Sprint(r.Match.Query[name]))
	}
	return b.String()
}

// claim is one host and one method; "" stands for every one.
type claim struct{ host, method string }

// claims are the hosts and methods that the routes of a group have taken.
type claims struct {
	// named holds what routes name. within holds each suffix that a named
	// host ends in. The values are indexes of routes.
	named, within map[claim]int
}

// take claims a route's hosts and methods, and is the first route that had
// claimed one of them before, if any.
func (cs *claims) take(r *Route, index int) (first int, taken bool) {
	first = index
	for _, host := range orEvery(r.Match.Hosts) {
		for _, method := range orEvery(r.Match.Methods) {
			for _, other := range cs.holders(host, method) {
				first = min(first, other)
			}
		}
	}
	for _, host := range orEvery(r.Match.Hosts) {
		for _, method := range orEvery(r.Match.Methods) {
			hold(cs.named, claim{host, method}, index)
			for _, suffix := range suffixes(host) {
				hold(cs.within, claim{suffix, method}, index)
			}
		}
	}
	return first, first != index
}

// holders are the routes that have claimed the host, a suffix that it ends in,
// or a host that ends in it.
func (cs *claims) holders(host, method string) []int {
	var routes []int
	for _, h := range append(suffixes(host), host) {
		if route, ok := cs.named[claim{h, method}]; ok {
			routes = append(routes, route)
		}
	}
	if route, ok := cs.within[claim{host, method}]; ok {
		routes = append(routes, route)
	}
	return routes
}

func hold(set map[claim]int, c claim, index int) {
	if _, held := set[c]; !held {
		set[c] = index
	}
}

func orEvery(values []string) []string {
	if len(values) == 0 {
		return []string{""}
	}
	return values
}

// suffixes are the *.suffix patterns that match a host, or all hosts of a
// narrower suffix.
func suffixes(host string) []string {
	var all []string
	rest := strings.TrimPrefix(host, "*.")
	for {
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			return all
		}
		rest = rest[dot+1:]
		all = append(all, "*."+rest)
	}
}
