package xds

import (
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/gatewright/gatewright/config"
)

// Envoy picks a request's route and backend before it asks Check, which may know
// better: who the caller is, and so its side of a split, or that the backend's
// breaker is open. Check then names the route and the backend in
// config.RerouteHeader, and Envoy looks once more. A virtual host finds what that
// header names before it looks at anything else: whatever Check has changed of
// the request, and whatever else the route asks of requests, nothing but the
// backend changes.

// rerouteInput is that header.
var rerouteInput = headerInput(config.RerouteHeader)

// wayTo is a route's way to one backend.
type wayTo struct {
	key   string // config.RerouteKey
	found *matcherv3.Matcher_OnMatch
}

// mayReroute tells whether Check may name the route once more.
func (b builder) mayReroute(r *config.Route, d Decision) bool {
	return d.Needed && (d.Holds || len(b.config.ReroutesTo(r)) > 0)
}

// reroutes are the routes that Check may name, by the backends that they lead to.
func (b builder) reroutes(r *config.Route, d Decision, p config.RateLimitPlacement) map[string]*routev3.Route {
	if !b.mayReroute(r, d) {
		return nil
	}
	base, out := b.baseRoute(r, d), map[string]*routev3.Route{}
	if len(r.To) == 0 {
		out[""] = b.answeringItself(base, r, d)
		return out
	}
	backends := b.config.ReroutesTo(r)
	if d.Holds {
		for _, to := range r.To {
			backends = append(backends, to.Backend)
		}
	}
	for _, backend := range backends {
		out[backend] = b.toBackend(cloneRoute(base), r, destination(r, backend), d, p)
	}
	return out
}

// waysTo are routes that Check may name, in the order of their backends. Nobody
// else must hold them.
func waysTo(r *config.Route, routes map[string]*routev3.Route) []wayTo {
	var out []wayTo
	for _, backend := range sortedKeys(routes) {
		route := routes[backend]
		route.Match = anyRequest()
		out = append(out, wayTo{config.RerouteKey(r.Name, backend), takes(route)})
	}
	return out
}

// rerouting is the search of a virtual host where Check may name some of its
// routes: first for what it names, and then as in the matcher.
func rerouting(placed []*placedRoute, otherwise *matcherv3.Matcher) *matcherv3.Matcher {
	named := map[string]*matcherv3.Matcher_OnMatch{}
	for _, r := range placed {
		for _, way := range r.waysTo {
			named[way.key] = way.found
		}
	}
	if len(named) == 0 {
		return otherwise
	}
	m := byValue(rerouteInput, named)
	m.OnNoMatch = goesOn(otherwise)
	return m
}

func anyRequest() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}
