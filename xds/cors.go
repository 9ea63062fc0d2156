package xds

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// preflight is a route for the preflights of another, which stands right behind
// it. path is its own path, since it may be for a part only.
type preflight struct {
	path  string
	envoy *routev3.Route
}

// preflights are the routes of the preflights for a route with a CORS policy,
// or nothing.
//
// The cors filter answers on the last of them, whatever the origin, and lets
// nothing go on, so that a preflight needs no judge. It speaks on routes that
// forward alone; so this one forwards, but to a cluster that there cannot be: one
// that is named by a path, while no backend's name has a slash. Without the
// filter a preflight would end there, in a 503.
//
// Before it stand the preflights for what other routes take of its requests.
func preflights(r *config.Route, closedWithin []config.Closed) []preflight {
	if r.CORS == nil {
		return nil
	}
	var out []preflight
	for _, closed := range closedWithin {
		out = append(out, preflight{closed.Route.Match.Path, closedPreflights(closed)})
	}
	policy := corsPolicy(r)
	policy.ForwardNotMatchingPreflights = wrapperspb.Bool(false)
	settings := unjudged()
	settings[corsFilter] = mustAny(policy)
	return append(out, preflight{r.Match.Path, &routev3.Route{
		Name:  r.Name,
		Match: preflightMatch(r, r.Match.Methods),
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_ClusterHeader{ClusterHeader: ":path"},
		}},
		TypedPerFilterConfig: settings,
	}})
}

// preflightMatch is a route's match, but for what a preflight says otherwise: its
// method is OPTIONS, that of the request is in a header, and it has none of the
// request's headers.
func preflightMatch(r *config.Route, methods []string) *routev3.RouteMatch {
	match := routeMatch(config.Match{Path: r.Match.Path, Query: r.Match.Query})
	requested := filled(requestMethodHeader)
	if len(methods) > 0 {
		requested = methodIn(requestMethodHeader, methods)
	}
	match.Headers = []*routev3.HeaderMatcher{methodIn(methodHeader, []string{"OPTIONS"}), filled("Origin"), requested}
	return match
}

// filled is the condition that a header is there and says something. The cors filter
// takes a request in which the origin or the method is empty for no preflight, so that
// it would end in a 503 here: it is judged as any other.
func filled(name string) *routev3.HeaderMatcher { return header(name, fits(".+")) }

// closedPreflights refuses the preflights for a route without a CORS policy. It
// stands among the routes of another one, which may have other hosts.
func closedPreflights(c config.Closed) *routev3.Route {
	match := preflightMatch(c.Route, c.Methods)
	if len(c.Route.Match.Hosts) > 0 {
		match.Headers = append(match.Headers, hostIn(c.Route.Match.Hosts))
	}
	r := answering(c.Route.Name, Decision{}, problem{status: 403, title: "Forbidden", reason: "cors-refused", detail: "pages of other origins may not call this route"})
	r.Match = match
	return r
}

// hostIn is the condition that a request is for one of several hosts, which are
// names or *.suffixes.
func hostIn(hosts []string) *routev3.HeaderMatcher {
	var each []string
	for _, h := range hosts {
		if suffix, wild := strings.CutPrefix(h, "*"); wild {
			each = append(each, ".+"+regexp.QuoteMeta(suffix))
		} else {
			each = append(each, regexp.QuoteMeta(h))
		}
	}
	return header(":authority", fits("(?i)("+strings.Join(each, "|")+")"))
}

// requestMethodHeader says in a preflight what the request's method will be.
const requestMethodHeader = "Access-Control-Request-Method"

// underCORS makes the gateway's policy the only one: what a backend says of
// CORS is taken out before the cors filter speaks. And as it speaks differently
// to each origin, so must caches.
func underCORS(route *routev3.Route, c *config.CORS) {
	if c == nil {
		return
	}
	route.ResponseHeadersToAdd = append(route.ResponseHeadersToAdd, varyByOrigin())
	for _, what := range []string{"Origin", "Credentials", "Methods", "Headers", "Private-Network"} {
		route.ResponseHeadersToRemove = append(route.ResponseHeadersToRemove, "Access-Control-Allow-"+what)
	}
	route.ResponseHeadersToRemove = append(route.ResponseHeadersToRemove, "Access-Control-Expose-Headers", "Access-Control-Max-Age")
}

func varyByOrigin() *corev3.HeaderValueOption {
	option := setHeader("Vary", "Origin")
	option.AppendAction = corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
	return option
}

// corsPolicy is a route's policy for the cors filter.
func corsPolicy(r *config.Route) *corsv3.CorsPolicy {
	p := &corsv3.CorsPolicy{
		AllowMethods:     strings.Join(r.AllowedMethods(), ","),
		AllowHeaders:     strings.Join(r.AllowedHeaders(), ","),
		ExposeHeaders:    strings.Join(r.ExposedHeaders(), ","),
		AllowCredentials: wrapperspb.Bool(r.CORS.Credentials),
	}
	if r.CORS.MaxAge > 0 {
		p.MaxAge = strconv.Itoa(int(time.Duration(r.CORS.MaxAge) / time.Second))
	}
	for _, o := range r.CORS.Origins {
		p.AllowOriginStringMatch = append(p.AllowOriginStringMatch, origin(o))
	}
	return p
}

// origin is the condition on an Origin header, whose host is in lower case. Envoy
// takes a sole * for all.
func origin(o string) *matcherv3.StringMatcher {
	if scheme, name, wild := strings.Cut(o, "://*"); wild {
		return fits(regexp.QuoteMeta(scheme+"://") + "[a-z0-9.-]+" + regexp.QuoteMeta(name))
	}
	return text(config.ValueMatch{Exact: o})
}
