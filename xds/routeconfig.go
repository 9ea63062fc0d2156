package xds

import (
	"maps"
	"slices"
	"strings"
	"sync"

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
	judged    any // Traces, looksAgain, Policies.Judged, which backends have filters of their own, which set cookies, and what limits count by
}

// tableHost is a virtual host of a table.
type tableHost struct {
	// name is what the config calls it, domain what Envoy looks for.
	name, domain string
	routes       []*config.Route
	// placed are the routes once they are built, the most specific first. It is
	// set when the table is.
	placed []*placedRoute
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
	t := &table{name: name, placement: p, judged: [7]any{b.config.Traces(), b.looksAgain, b.policies.Judged, b.adaptive, b.affinities, b.placeFilter + strings.Join(b.counted, " "), b.placesSomewhere()}}
	for _, domain := range domains {
		t.hosts = append(t.hosts, tableHost{name: domain, domain: domain, routes: b.hosts.serving(domain)})
	}
	return t
}

// routeConfigName is the name of the table for listeners of a placement.
func routeConfigName(p config.RateLimitPlacement) string { return "routes-" + string(p) }

// routeConfig is Envoy's route table, and the clusters that it names. What the
// table of that name had before is taken over, if there is one.
func (b builder) routeConfig(t, before *table) (*routev3.RouteConfiguration, []id) {
	out := &routev3.RouteConfiguration{
		Name:                   t.name,
		RequestHeadersToAdd:    b.traceHeader(),
		RequestHeadersToRemove: append([]string{scopeHeader, pathHeader}, b.counted...),
		ResponseHeadersToAdd:   b.traceHeader(),
	}
	clusters, known := clusterSet{}, before.placed(t)
	for i := range t.hosts {
		h := &t.hosts[i]
		h.placed = b.place(h.routes, known[h.name], t.placement)
		for _, r := range h.placed {
			clusters.add(r.clusters)
		}
		out.VirtualHosts = append(out.VirtualHosts, &routev3.VirtualHost{
			Name:    h.name,
			Domains: []string{h.domain},
			Matcher: rerouting(h.placed, routeTree(h.name, inTrees(h.placed), b.policies.Strangers, b.policies.Challenges)),
		})
	}
	return out, clusters.ids
}

// placed are the routes of each host of a table before, where another table may
// have them just so.
func (t *table) placed(other *table) map[string][]*placedRoute {
	if t == nil || t.placement != other.placement || t.judged != other.judged {
		return nil
	}
	out := make(map[string][]*placedRoute, len(t.hosts))
	for _, h := range t.hosts {
		out[h.name] = h.placed
	}
	return out
}

// placedRoute is a route of ours on its way into a tree.
type placedRoute struct {
	route *config.Route
	config.Specificity
	// inTrees are its routes in Envoy, the most specific first.
	inTrees []*treeRoute
	// waysTo are those that Check may name.
	waysTo   []wayTo
	clusters []string // that all of them name
	// mingled tells that preflights for other routes are among them.
	mingled bool
}

// placing is a route for listeners of one placement of limits.
type placing struct {
	route     *config.Route
	placement config.RateLimitPlacement
}

// inSeveralTables are the routes that the tables of many hosts have, each built
// when it is asked for, and once.
func (b builder) inSeveralTables() map[placing]func() *placedRoute {
	out := map[placing]func() *placedRoute{}
	for _, p := range placements(b.config) {
		add := func(routes []*config.Route) {
			for _, r := range routes {
				out[placing{r, p}] = sync.OnceValue(func() *placedRoute { return b.placedRoute(r, nil, p) })
			}
		}
		add(b.hosts.every)
		for _, domain := range b.hosts.wild {
			add(b.hosts.named[domain])
		}
	}
	return out
}

func inTrees(placed []*placedRoute) []*treeRoute {
	out := make([]*treeRoute, 0, len(placed))
	for _, r := range placed {
		out = append(out, r.inTrees...)
	}
	return out
}

// place are routes of one host, the most specific first. Those of before are
// taken over; they are in that order.
func (b builder) place(routes []*config.Route, before []*placedRoute, p config.RateLimitPlacement) []*placedRoute {
	closed := config.ClosedWithin(routes)
	missing := make(map[*config.Route]bool, len(routes))
	for _, r := range routes {
		missing[r] = true
	}
	kept := make([]*placedRoute, 0, len(routes))
	for _, r := range before {
		if missing[r.route] && !r.mingled && len(closed[r.route]) == 0 {
			kept = append(kept, r)
			delete(missing, r.route)
		}
	}
	fresh := slices.Collect(maps.Keys(missing))
	placed := make([]*placedRoute, len(fresh))
	inParallel(len(fresh), func(i int) {
		r := fresh[i]
		if shared := b.shared[placing{r, p}]; shared != nil && len(closed[r]) == 0 {
			placed[i] = shared()
		} else {
			placed[i] = b.placedRoute(r, closed[r], p)
		}
	})
	return merged(kept, placed, func(a, b *placedRoute) int { return a.Compare(&b.Specificity) })
}

// merged is a list in order together with others, which it sorts.
func merged[E any](sorted, others []E, compare func(a, b E) int) []E {
	half := len(others) / 2
	halves := [][]E{others[:half], others[half:]}
	inParallel(2, func(i int) { slices.SortFunc(halves[i], compare) })
	return zipped(sorted, zipped(halves[0], halves[1], compare), compare)
}

// zipped are two lists in order, in one.
func zipped[E any](a, b []E, compare func(a, b E) int) []E {
	out := make([]E, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compare(a[0], b[0]) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

func (b builder) placedRoute(r *config.Route, closed []config.Closed, p config.RateLimitPlacement) *placedRoute {
	out := &placedRoute{route: r, Specificity: r.Specificity(), mingled: len(closed) > 0}
	place := out.Path()
	for _, f := range preflights(r, closed) {
		path, _ := config.ParsePath(f.path) // it is valid
		out.inTrees = append(out.inTrees, newTreeRoute(r.Priority, place, path, []string{"OPTIONS"}, f.envoy))
	}
	decision := b.policies.Decide(r, p)
	envoys, rerouted := b.routes(r, decision, p), b.reroutes(r, decision, p)
	out.clusters = clustersOf(slices.AppendSeq(slices.Clone(envoys), maps.Values(rerouted)))
	out.waysTo = waysTo(r, rerouted)
	for _, envoy := range envoys {
		out.inTrees = append(out.inTrees, newTreeRoute(r.Priority, place, place, r.Match.Methods, envoy))
	}
	return out
}

// notFound is the last route of every virtual host. Without it a request that
// no route takes would meet no filter and no log field of ours.
func notFound(d Decision) *routev3.Route { return answering(NotFoundRoute, d, routeNotFound) }

var routeNotFound = problem{status: 404, title: "Not Found", reason: "route-not-found", detail: "no route matches this request"}

// answering is a route that answers every request that passes the judge with a
// problem.
func answering(name string, d Decision, p problem) *routev3.Route {
	settings := unjudged()
	if d.Needed {
		settings[extAuthzFilter] = checkSettings(nil, map[string]string{contextRoute: name, contextPolicy: d.Policy})
	}
	route := &routev3.Route{
		Name:                 name,
		Match:                anyRequest(),
		Action:               &routev3.Route_DirectResponse{DirectResponse: directResponse(p.status, p.json())},
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{setHeader("Content-Type", problemContentType)},
		TypedPerFilterConfig: settings,
	}
	putMetadata(route, metadataReason, p.reason) // a reason of its own
	return route
}

// NotFoundRoute is the name, in logs and metrics, of the route that takes what
// no other does.
const NotFoundRoute = "gatewright.not-found"

func previousHosts() *previoushostsv3.PreviousHostsPredicate {
	return &previoushostsv3.PreviousHostsPredicate{}
}

func cloneRoute(r *routev3.Route) *routev3.Route { return proto.Clone(r).(*routev3.Route) }
