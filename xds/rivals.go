package xds

import (
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
)

// rivals finds, for a route, those that may take one of its requests where it
// does not.
type rivals struct {
	routes []*treeRoute // by specificity
	paths  config.PathIndex
	// strangers is what is decided about what none of them takes.
	strangers Decision
}

func newRivals(routes []*treeRoute, strangers Decision) *rivals {
	r := &rivals{routes: routes, strangers: strangers}
	if !slices.ContainsFunc(routes, (*treeRoute).asksQuery) {
		return r // nobody will ask
	}
	for i, t := range routes {
		r.paths.Add(t.path, i)
	}
	return r
}

// from is the list that is tried where a route's conditions hold but, perhaps,
// those on the query: the route, its rivals behind it up to the first that is
// sure to take what they leave, and else notFound.
func (r *rivals) from(t *treeRoute) []*routev3.Route {
	sharing := r.paths.Overlapping(t.path)
	slices.Sort(sharing)
	tried := []*routev3.Route{t.conditional()}
	reached := false
	for _, i := range sharing {
		other := r.routes[i]
		switch {
		case other.found == t.found:
			reached = true
		case !reached || !t.mayCompete(other):
		default:
			tried = append(tried, other.conditional())
			if !other.asksQuery() && other.takesAllOf(t) {
				return tried
			}
		}
	}
	return append(tried, notFound(r.strangers))
}

func (t *treeRoute) asksQuery() bool { return len(t.match.GetQueryParameters()) > 0 }

// mayCompete tells whether a request could have the method and the headers of
// both routes.
func (t *treeRoute) mayCompete(other *treeRoute) bool {
	a, b := t.methods, other.methods
	if len(a) > 0 && len(b) > 0 && !slices.ContainsFunc(a, func(m string) bool { return slices.Contains(b, m) }) {
		return false
	}
	for _, h := range t.otherHeaders() {
		for _, o := range other.otherHeaders() {
			x, y := h.GetStringMatch().GetExact(), o.GetStringMatch().GetExact()
			if strings.EqualFold(h.GetName(), o.GetName()) && x != "" && y != "" && x != y {
				return false
			}
		}
	}
	return true
}

// takesAllOf tells whether the route's conditions, but those on the query, hold
// for every request for which the other's do.
func (t *treeRoute) takesAllOf(other *treeRoute) bool {
	a, b := t.methods, other.methods
	if len(a) > 0 && (len(b) == 0 || slices.ContainsFunc(b, func(m string) bool { return !slices.Contains(a, m) })) {
		return false
	}
	for _, h := range t.otherHeaders() {
		if !slices.ContainsFunc(other.otherHeaders(), func(o *routev3.HeaderMatcher) bool { return proto.Equal(h, o) }) {
			return false
		}
	}
	return covers(t.path, other.path)
}

// otherHeaders are the conditions on headers but the one on the method, which
// is the first where there is one.
func (t *treeRoute) otherHeaders() []*routev3.HeaderMatcher {
	headers := t.match.GetHeaders()
	if len(t.methods) > 0 {
		return headers[1:]
	}
	return headers
}

// covers tells whether every path that q takes is one that p takes.
func covers(p, q config.PathPattern) bool {
	if len(q.Segments) < len(p.Segments) || !p.Rest && (q.Rest || len(q.Segments) > len(p.Segments)) {
		return false
	}
	for i, s := range p.Segments {
		other := q.Segments[i]
		switch {
		case s.Variable == "" && (other.Variable != "" || other.Literal != s.Literal),
			s.Variable != "" && other.Variable == "" && other.Literal == "":
			return false
		}
	}
	return true
}
