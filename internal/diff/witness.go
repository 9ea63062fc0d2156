package diff

import (
	"slices"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// witnesses make up requests that a route takes. What its match leaves open is
// filled with what nobody names, since that is taken by the fewest other routes.
type witnesses struct {
	route *candidate
	// longest is how many segments the longest path of a rival has.
	longest int
	// unnamed is a method that no rival names.
	unnamed string
	// named are all fields that the route or a rival has conditions on, and
	// examples what values of them these name, beside what nobody does.
	named    []field
	examples map[field][]string
}

func newWitnesses(route *candidate, rivals []*candidate) *witnesses {
	w := &witnesses{route: route}
	w.examples = map[field][]string{}
	methods := map[string]bool{}
	for _, c := range append([]*candidate{route}, rivals...) {
		w.longest = max(w.longest, len(c.path.Segments))
		for _, m := range c.route.Match.Methods {
			methods[m] = true
		}
		for f, want := range c.asks {
			w.examples[f] = append(w.examples[f], examples(want)...)
		}
	}
	for f, values := range w.examples {
		slices.Sort(values)
		w.examples[f] = slices.Concat([]string{unnamedValue, ""}, slices.Compact(values))
		w.named = append(w.named, f)
	}
	slices.SortFunc(w.named, field.compare)
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} {
		if !methods[m] {
			w.unnamed = m
			break
		}
	}
	if w.unnamed == "" {
		w.unnamed = "PURGE"
	}
	return w
}

// each makes up the requests that the route and a rival, which may be the route
// itself, both take. It tells whether visit wanted all of them.
func (w *witnesses) each(rival *candidate, visit func(*Request) bool) bool {
	a, b := w.route.route, rival.route
	hosts, methods := sharedHosts(a, b), sharedMethods(a, b, w.unnamed)
	paths := sharedPaths(w.route.path, rival.path, w.longest)
	done := true
	w.values(w.route.asks, rival.asks, func(v values) bool {
		query, ok := v.query()
		if !ok {
			return true
		}
		for _, path := range paths {
			for _, host := range hosts {
				for _, method := range methods {
					done = visit(&Request{Method: method, Host: host, Path: path + query, Headers: v.headers()})
					if !done {
						return false
					}
				}
			}
		}
		return true
	})
	return done
}

// sharedHosts are hosts that both routes take, each as little special as can be.
func sharedHosts(a, b *config.Route) []string {
	var out []string
	for _, x := range hostsOf(a) {
		for _, y := range hostsOf(b) {
			if host := sharedHost(x, y); host != "" && !slices.Contains(out, host) {
				out = append(out, host)
			}
		}
	}
	return out
}

// hostsOf are the hosts of a route, as names or as *.suffix; * is every one.
func hostsOf(r *config.Route) []string {
	if len(r.Match.Hosts) == 0 {
		return []string{"*"}
	}
	out := make([]string, len(r.Match.Hosts))
	for i, h := range r.Match.Hosts {
		out[i] = strings.ToLower(h)
	}
	return out
}

// unnamedHost is a host, and the first label of one, that no config names.
const (
	unnamedLabel = "any-host"
	unnamedHost  = unnamedLabel + ".example"
)

// sharedHost is a host that two patterns take, or nothing.
func sharedHost(x, y string) string {
	switch {
	case config.HostCovers(x, y):
		return hostOf(y)
	case config.HostCovers(y, x):
		return hostOf(x)
	}
	return ""
}

// hostOf is a host that a pattern takes.
func hostOf(pattern string) string {
	suffix, wild := strings.CutPrefix(pattern, "*")
	switch {
	case !wild:
		return pattern
	case suffix == "":
		return unnamedHost
	}
	return unnamedLabel + suffix
}

// sharedPaths are paths that two patterns take: what neither names is filled with
// what nobody names; and what a /** takes is nothing, a slash, or some segments,
// up to one more than the longest path has, with a slash after them or not.
func sharedPaths(a, b config.PathPattern, longest int) []string {
	var fixed []string
	for i := range max(len(a.Segments), len(b.Segments)) {
		fixed = append(fixed, sharedSegment(segmentAt(a, i), segmentAt(b, i)))
	}
	if !a.Rest || !b.Rest {
		return []string{"/" + strings.Join(fixed, "/")}
	}
	var out []string
	for n := range max(1, longest-len(fixed)+1) + 1 {
		more := append(slices.Clone(fixed), slices.Repeat([]string{"more"}, n)...)
		out = append(out, "/"+strings.Join(more, "/"))
		if len(more) > 0 {
			out = append(out, "/"+strings.Join(more, "/")+"/")
		}
	}
	return out
}

// segmentAt is a segment of a pattern; beyond its end, which then is a /**, it
// is a variable.
func segmentAt(p config.PathPattern, i int) config.Segment {
	if i < len(p.Segments) {
		return p.Segments[i]
	}
	return config.Segment{Variable: "more"}
}

func sharedSegment(a, b config.Segment) string {
	switch {
	case a.Variable == "":
		return a.Literal
	case b.Variable == "":
		return b.Literal
	}
	return "any-" + a.Variable
}
