package xds

import (
	"slices"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
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
// have until they are drained, and on these no route has any of its own but its bound of
// bodies, which its backends have, too (upstreamfilters.go). From then on nothing is ever
// without them: a route and its filters are one message.

// routeFilters is that filter. It runs what the route has when the request comes to
// it, and not when the chain is made: in the form Scoped some requests have no route
// by then.
const routeFilters = "gatewright.route_filters"

// hasRouteFilters tells whether some route has filters of its own.
func (b builder) hasRouteFilters() bool {
	return slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool { return len(b.filtersOf(r)) > 0 })
}

// filtersOf are a route's own filters, in the order in which a request meets them;
// an answer meets them from the last to the first. So an answer is decompressed,
// and compressed at the very end; and a body is measured as it comes and once more as
// it is unpacked.
func (b builder) filtersOf(r *config.Route) []*corev3.TypedExtensionConfig {
	var chain []*corev3.TypedExtensionConfig
	chain = append(chain, compressors(r)...)
	chain = append(chain, bodyLimit(r)...)
	if r.Decompresses(config.OfRequest) {
		chain = append(chain, requestDecompressors()...)
		chain = append(chain, bodyLimit(r)...)
	}
	if r.Decompresses(config.OfResponse) {
		chain = append(chain, responseDecompressors()...)
	}
	chain = append(chain, edits(r)...)
	chain = append(chain, b.callerHash(r)...)
	return named(chain)
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
	if chain := b.filtersOf(r); len(chain) > 0 {
		settings[routeFilters] = running(chain)
	}
}

// running has a composite filter run these.
func running(chain []*corev3.TypedExtensionConfig) *anypb.Any {
	run := &compositev3.ExecuteFilterAction{FilterChain: &compositev3.FilterChainConfiguration{TypedConfig: chain}}
	return mustAny(&compositev3.CompositePerRoute{Matcher: &matcherv3.Matcher{OnNoMatch: does("filters", run)}})
}

func extension(name string, m proto.Message) *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{Name: name, TypedConfig: mustAny(m)}
}
