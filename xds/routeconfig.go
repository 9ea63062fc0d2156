package xds

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
)

// table is a RouteConfiguration before it is built: what it depends on, and
// nothing else.
type table struct {
	name      string
	placement config.RateLimitPlacement
	hosts     []tableHost
	judged    any // Policies.Judged
}

// tableHost is a virtual host of a table.
type tableHost struct {
	// name is what the config calls it, domain what Envoy looks for.
	name, domain string
	routes       []*config.Route
}

// equal tells whether two tables build the same: a route is compared by its
// address, since routes are never changed once they are read.
func (t *table) equal(other *table) bool {
	return t.name == other.name && t.placement == other.placement && t.judged == other.judged &&
		slices.EqualFunc(t.hosts, other.hosts, func(a, b tableHost) bool {
			return a.name == b.name && a.domain == b.domain && slices.Equal(a.routes, b.routes)
		})
}

// tables are the tables of a form, for listeners of one placement of limits.
// Listeners of one placement share them.
func (b builder) tables(form Form, p config.RateLimitPlacement) []*table {
	if form == Table {
		return []*table{b.tableOf(routeConfigName(p), p, b.hosts.domains())}
	}
	var out []*table
	rest := append(slices.Clone(b.hosts.wild), everyHost)
	out = append(out, b.tableOf(scopeName(p, everyHost), p, rest))
	for _, domain := range b.hosts.domains() {
		if domain != everyHost && !wildcard(domain) {
			t := b.tableOf(scopeName(p, domain), p, []string{domain})
			t.hosts[0].domain = everyHost // the scope was found by the host
			out = append(out, t)
		}
	}
	return out
}

func (b builder) tableOf(name string, p config.RateLimitPlacement, domains []string) *table {
	t := &table{name: name, placement: p, judged: b.policies.Judged}
	for _, domain := range domains {
		t.hosts = append(t.hosts, tableHost{name: domain, domain: domain, routes: b.hosts.serving(domain)})
	}
	return t
}

// routeConfigName is the name of the table for listeners of a placement.
func routeConfigName(p config.RateLimitPlacement) string { return "routes-" + string(p) }

// routeConfig is Envoy's route table, and the clusters that it names.
func (b builder) routeConfig(t *table) (*routev3.RouteConfiguration, []id) {
	out := &routev3.RouteConfiguration{
		Name:                   t.name,
		RequestHeadersToAdd:    traceHeader(),
		RequestHeadersToRemove: []string{scopeHeader},
		ResponseHeadersToAdd:   traceHeader(),
	}
	var all []*routev3.Route
	for _, h := range t.hosts {
		routes := b.treeRoutes(h.routes, t.placement)
		for _, r := range routes {
			all = append(all, r.envoy)
		}
		out.VirtualHosts = append(out.VirtualHosts, &routev3.VirtualHost{
			Name:    h.name,
			Domains: []string{h.domain},
			Matcher: routeTree(routes),
		})
	}
	return out, clustersOf(all)
}

// treeRoutes are Envoy's routes, the most specific first.
func (b builder) treeRoutes(routes []*config.Route, p config.RateLimitPlacement) []treeRoute {
	type ranked struct {
		route *config.Route
		config.Specificity
	}
	ranking := make([]*ranked, len(routes))
	for i, r := range routes {
		ranking[i] = &ranked{r, r.Specificity()}
	}
	slices.SortFunc(ranking, func(a, b *ranked) int { return a.Compare(&b.Specificity) })
	closed := config.ClosedWithin(routes)
	out := make([]treeRoute, 0, len(ranking))
	for _, r := range ranking {
		at := treeRoute{priority: r.route.Priority, place: r.Path()}
		for _, p := range preflights(r.route, closed[r.route]) {
			at.path, _ = config.ParsePath(p.path) // it is valid
			at.methods, at.envoy = []string{"OPTIONS"}, p.envoy
			out = append(out, at)
		}
		at.path, at.methods = at.place, r.route.Match.Methods
		for _, at.envoy = range b.routes(r.route, b.policies.Decide(r.route, p), p) {
			out = append(out, at)
		}
	}
	return out
}

// notFound is the last route of every virtual host. Without it a request that
// no route takes would meet no filter and no log field of ours.
func notFound() *routev3.Route {
	return answering(NotFoundRoute, problem{status: 404, title: "Not Found", reason: "route-not-found", detail: "no route matches this request"})
}

// answering is a route that answers every request with a problem, unjudged.
func answering(name string, p problem) *routev3.Route {
	return &routev3.Route{
		Name:                 name,
		Match:                &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action:               &routev3.Route_DirectResponse{DirectResponse: directResponse(p.status, p.json())},
		Metadata:             routeReason(p.reason),
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{setHeader("Content-Type", problemContentType)},
		TypedPerFilterConfig: unjudged(),
	}
}

// NotFoundRoute is the name, in logs and metrics, of the route that takes what
// no other does.
const NotFoundRoute = "gatewright.not-found"

func previousHosts() *previoushostsv3.PreviousHostsPredicate {
	return &previoushostsv3.PreviousHostsPredicate{}
}

func cloneRoute(r *routev3.Route) *routev3.Route { return proto.Clone(r).(*routev3.Route) }
