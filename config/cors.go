package config

import (
	"slices"
	"strings"
)

// AllowedMethods are the methods that pages of other origins may use on a
// route with a CORS policy.
func (r *Route) AllowedMethods() []string {
	if len(r.CORS.Methods) > 0 {
		return r.CORS.Methods
	}
	return r.Match.takenMethods()
}

// grpcWebRequestHeaders and grpcWebResponseHeaders are what pages send with calls of
// gRPC-Web, and must read of an answer that is its end as well.
var (
	grpcWebRequestHeaders  = []string{"Content-Type", "X-Grpc-Web", "X-User-Agent", "Grpc-Timeout"}
	grpcWebResponseHeaders = []string{"Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin"}
)

// AllowedHeaders are the headers that pages of other origins may send to a route with
// a CORS policy.
func (r *Route) AllowedHeaders() []string {
	return r.withGRPCWeb(r.CORS.Headers, grpcWebRequestHeaders)
}

// ExposedHeaders are those that they may read of its answers.
func (r *Route) ExposedHeaders() []string {
	return r.withGRPCWeb(r.CORS.ExposeHeaders, grpcWebResponseHeaders)
}

// withGRPCWeb adds what gRPC-Web needs to a list that does not have it already.
func (r *Route) withGRPCWeb(names, needed []string) []string {
	if !r.GRPCWeb {
		return names
	}
	out := slices.Clone(names)
	for _, name := range needed {
		if !slices.ContainsFunc(names, func(n string) bool { return n == "*" || strings.EqualFold(n, name) }) {
			out = append(out, name)
		}
	}
	return out
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
	var mute PathIndex // those that neither have a policy nor take OPTIONS requests
	paths := make([]PathPattern, len(routes))
	for i, r := range routes {
		paths[i], _ = ParsePath(r.Match.Path) // a valid route has a valid path
		if r.CORS == nil && len(r.Match.Headers) == 0 && !slices.Contains(r.Match.takenMethods(), "OPTIONS") {
			mute.Add(paths[i], i)
		}
	}
	out := map[*Route][]Closed{}
	for i, r := range routes {
		if r.CORS == nil {
			continue
		}
		for _, n := range mute.Overlapping(paths[i]) {
			other := routes[n]
			shared := intersection(other.Match.Methods, r.Match.takenMethods())
			if len(shared) > 0 && hostsOverlap(other.Match.Hosts, r.Match.Hosts) && Compare(other, r) < 0 {
				out[r] = append(out[r], Closed{Route: other, Methods: shared})
			}
		}
		slices.SortFunc(out[r], func(a, b Closed) int { return Compare(a.Route, b.Route) })
	}
	return out
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
