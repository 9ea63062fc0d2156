package xds

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
)

// routeConfigName is the name of the route table for listeners with the given
// placement of limits. Listeners of one placement share one table.
func routeConfigName(p config.RateLimitPlacement) string { return "routes-" + string(p) }

// routeConfig is the route table. A route without hosts stands in every
// virtual host, since Envoy, once it has chosen one, looks into no other; in
// each, the most specific route comes first.
func (b builder) routeConfig(p config.RateLimitPlacement) *routev3.RouteConfiguration {
	table := &routev3.RouteConfiguration{
		Name:                 routeConfigName(p),
		RequestHeadersToAdd:  traceHeader(),
		ResponseHeadersToAdd: traceHeader(),
	}
	sorted := b.config.RoutesBySpecificity()
	for _, domain := range domains(b.config) {
		var routes []treeRoute
		for _, r := range sorted {
			if servesDomain(r, domain) {
				routes = append(routes, b.treeRoutes(r, p)...)
			}
		}
		table.VirtualHosts = append(table.VirtualHosts, &routev3.VirtualHost{Name: domain, Domains: []string{domain}, Matcher: routeTree(routes)})
	}
	return table
}

func (b builder) treeRoutes(r *config.Route, p config.RateLimitPlacement) []treeRoute {
	pattern, _ := config.ParsePath(r.Match.Path) // it is valid
	var out []treeRoute
	for _, e := range b.routes(r, p) {
		out = append(out, treeRoute{route: r, pattern: pattern, envoy: e})
	}
	return out
}

// notFound is the last route of every virtual host. Without it a request that
// no route takes would meet no filter and no log field of ours.
func notFound() *routev3.Route {
	return &routev3.Route{
		Name:  NotFoundRoute,
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_DirectResponse{DirectResponse: directResponse(404,
			problem{status: 404, title: "Not Found", reason: "route-not-found", detail: "no route matches this request"}.json())},
		Metadata:             routeReason("route-not-found"),
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{setHeader("Content-Type", problemContentType)},
		TypedPerFilterConfig: unjudged(),
	}
}

// NotFoundRoute is the name, in logs and metrics, of the route that takes what
// no other does.
const NotFoundRoute = "gatewright.not-found"

// domains are the virtual hosts: every host that a route names, in order, and
// every other one.
func domains(c *config.Config) []string {
	var out []string
	for _, r := range c.Routes {
		for _, h := range r.Match.Hosts {
			out = append(out, strings.ToLower(h))
		}
	}
	slices.Sort(out)
	return append(slices.Compact(out), "*")
}

// servesDomain tells whether a route belongs into a virtual host: one without
// hosts into each, otherwise where a host of its own is the domain, or is a
// wildcard that covers it.
func servesDomain(r *config.Route, domain string) bool {
	if len(r.Match.Hosts) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Match.Hosts, func(host string) bool {
		host = strings.ToLower(host)
		suffix, wild := strings.CutPrefix(host, "*")
		return host == domain || wild && len(domain) > len(suffix) && strings.HasSuffix(domain, suffix)
	})
}

func previousHosts() *previoushostsv3.PreviousHostsPredicate {
	return &previoushostsv3.PreviousHostsPredicate{}
}

func cloneRoute(r *routev3.Route) *routev3.Route { return proto.Clone(r).(*routev3.Route) }
