package xds

import (
	"strings"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	upstreamcodecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/config"
)

// What protects a backend, and would come too late with a listener, stands in the
// backend's own cluster: connections of clients that are open keep the filters that their
// listener had, for as long as it drains, while a cluster that has changed is the one that
// every next request goes through. And clusters reach an Envoy before the routes that
// need them (Server.Publish).

// bodyBounds is the filter that has a route's bound of bodies once more. On connections
// that are older than the first route with filters of its own it is the only one; on all
// others what is too long has been refused before (routefilters.go), and cost the backend
// no connection.
const bodyBounds = "gatewright.body_bounds"

// upstreamCodec is the filter by which an attempt leaves for the backend.
const upstreamCodec = "envoy.filters.http.upstream_codec"

// boundedTwice tells whether the backends of a route have its bound, too. What they get
// of a route that makes other bodies of its clients' may be longer than those were; on
// old connections nothing makes them, and such a route does not work there.
func boundedTwice(r *config.Route) bool {
	return r.MaxBodyBytes > 0 && r.GRPCTranscode == nil && !r.RewritesRequests()
}

// boundedBackends are the names of the backends that have the bounds of some route.
func boundedBackends(c *config.Config) map[string]bool {
	out := map[string]bool{}
	for _, r := range c.Routes {
		if !boundedTwice(r) {
			continue
		}
		for _, name := range backendsOf(c, r) {
			out[name] = true
		}
	}
	return out
}

// backendsOf are the names of the backends that may get the requests of a route.
func backendsOf(c *config.Config, r *config.Route) []string {
	var out []string
	for _, to := range r.To {
		out = append(out, to.Backend)
		if fallback := c.Backends[to.Backend].Fallback(); fallback != "" {
			out = append(out, fallback)
		}
	}
	return out
}

// upstreamFilters are those of a backend's cluster, or none.
func (b builder) upstreamFilters(backend *config.Backend) []*hcmv3.HttpFilter {
	var chain []*hcmv3.HttpFilter
	if b.bounded[backend.Name] {
		chain = append(chain, httpFilter(bodyBounds, &compositev3.Composite{}))
	}
	chain = append(chain, b.lateFilters(backend)...)
	if takesTrailers(backend) {
		chain = append(chain, b.trailers())
	}
	if len(chain) == 0 {
		return nil
	}
	return append(chain, httpFilter(upstreamCodec, &upstreamcodecv3.UpstreamCodec{}))
}

// withBodyBound has a route's bound in the filter of its backends.
func withBodyBound(settings map[string]*anypb.Any, r *config.Route) {
	if boundedTwice(r) {
		settings[bodyBounds] = running(bodyLimit(r))
	}
}

// trailersFilter is the name of the filter that cleans the trailers of requests. (The
// kind of filter is one that others use, too.)
const trailersFilter = "gatewright.trailers"

// misplaced are what no trailer may say (RFC 9110, section 6.5.1): how a message is
// framed, where it goes, and who sends it. The judge has not seen it.
var misplaced = []string{"authorization", "content-encoding", "content-length", "content-type", "cookie", "host", "transfer-encoding"}

// trailers take out of the trailers of requests what clients may not set in headers, nor
// proxies in trailers, and what is no trailer: some backends make headers of them.
func (b builder) trailers() *hcmv3.HttpFilter {
	m := []*mutationv3.HeaderMutation{b.takeAway(peerKind{})}
	for _, name := range misplaced {
		m = append(m, without(name))
	}
	return httpFilter(trailersFilter, &headermutationv3.HeaderMutation{
		Mutations: &headermutationv3.Mutations{RequestTrailersMutations: m},
	})
}

// takesTrailers tells whether a backend is sent those of clients.
func takesTrailers(backend *config.Backend) bool { return backend.Trailers || backend.SpeaksHTTP2() }

// takenTrailers are what is taken out of the trailers that a backend is sent, as one
// text: all that the filter depends on.
func (b builder) takenTrailers(backend *config.Backend) string {
	if !takesTrailers(backend) {
		return ""
	}
	return strings.Join(takenHeaders(b.config, false), " ")
}
