package xds

import (
	"slices"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/config"
)

// What is done to the bodies of a route is done by filters that come with the
// route, in a filter of the listener that has none of its own. So a route's numbers
// can change without its listener, on which connections would be drained, and other
// routes pay a look for a setting that they do not have.

// That filter comes with the first route that has any. A listener that gets it goes
// on with it for new connections; those that are open then keep the filters that they
// have until they are drained, and on these no route has any of its own but what its
// backends have, too: its bound of bodies (upstreamfilters.go), its templates and its edits
// (latefilters.go). From then on nothing is ever without them: a route and its filters are
// one message.

// routeFilters is that filter. It runs what the route has when the request comes to
// it, and not when the chain is made: in the form Scoped some requests have no route
// by then.
//
// Where a route has bodies rewritten, the filter that does it has one of its own, and
// what stands behind it another: a filter that waits for somebody, as that does, goes on
// with the filter of the listener that comes next, and not with its neighbour.
const (
	routeFilters = "gatewright.route_filters"
	bodyFilters  = "gatewright.body_filters"
	innerFilters = "gatewright.inner_filters"
)

// ownFilters are a route's own, by the filter of the listener that they stand in, each
// in the order in which a request meets them; an answer meets them from the last to the
// first. So an answer is decompressed, and compressed at the very end; and a body is
// measured as it comes and once more as it is unpacked.
type ownFilters struct {
	outer, bodies, inner []*corev3.TypedExtensionConfig
}

// ownFilters are those of a route.
func (b builder) ownFilters(r *config.Route) (o ownFilters) {
	o.outer = append(o.outer, compressors(r)...)
	o.outer = append(o.outer, b.ownErrors(r)...)
	o.outer = append(o.outer, bodyLimit(r)...)
	if r.Decompresses(config.OfRequest) {
		o.outer = append(o.outer, requestDecompressors()...)
		o.outer = append(o.outer, bodyLimit(r)...)
	}
	o.outer = append(o.outer, templateLimit(r)...)
	// Behind what unpacks requests. Headers that the route changes it sees as they were.
	o.bodies = rewriting(r, false)
	if r.Decompresses(config.OfResponse) {
		o.inner = append(o.inner, responseDecompressors()...)
	}
	o.inner = append(o.inner, edits(r, false)...)
	o.inner = append(o.inner, b.callerHash(r)...)
	if len(o.bodies) > 0 {
		o.bodies = append(markRan(r), o.bodies...)
	} else {
		o.outer = append(markRan(r), o.outer...)
		o.outer, o.inner = append(o.outer, o.inner...), nil
	}
	return o
}

// routeFilterHolders are the filters of a listener in which some route has some.
func (b builder) routeFilterHolders() []*hcmv3.HttpFilter {
	var out []*hcmv3.HttpFilter
	if slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool { return len(b.ownFilters(r).outer) > 0 }) {
		out = append(out, httpFilter(routeFilters, &compositev3.Composite{}))
	}
	if slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool { return r.Body != nil }) { // one without the other would be another listener for each
		out = append(out, httpFilter(bodyFilters, &compositev3.Composite{}), httpFilter(innerFilters, &compositev3.Composite{}))
	}
	return out
}

// named gives each filter of a chain a name of its own, by which it is counted.
func named(chain []*corev3.TypedExtensionConfig) []*corev3.TypedExtensionConfig {
	seen := map[string]bool{}
	for _, f := range chain {
		for seen[f.GetName()] {
			f.Name += "+"
		}
		seen[f.GetName()] = true
	}
	return chain
}

// withOwnFilters adds a route's own filters to its settings, where it has some. The
// filter asks a matcher which ones, and this one has but one answer.
func (b builder) withOwnFilters(settings map[string]*anypb.Any, r *config.Route) {
	own := b.ownFilters(r)
	for name, chain := range map[string][]*corev3.TypedExtensionConfig{routeFilters: own.outer, bodyFilters: own.bodies, innerFilters: own.inner} {
		if len(chain) == 0 {
			continue
		}
		settings[name] = running(named(chain))
	}
}

// running has a composite filter run these.
func running(chain []*corev3.TypedExtensionConfig) *anypb.Any {
	return mustAny(&compositev3.CompositePerRoute{Matcher: &matcherv3.Matcher{OnNoMatch: does("filters", executing(chain))}})
}

func executing(chain []*corev3.TypedExtensionConfig) *compositev3.ExecuteFilterAction {
	return &compositev3.ExecuteFilterAction{FilterChain: &compositev3.FilterChainConfiguration{TypedConfig: chain}}
}

func extension(name string, m proto.Message) *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{Name: name, TypedConfig: mustAny(m)}
}
