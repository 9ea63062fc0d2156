package xds

import (
	"regexp"
	"slices"
	"strings"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"

	"github.com/gatewright/gatewright/config"
)

// earlyHeaderMutations take every header away that clients may not set, or by
// which they would have themselves traced, before anything reads it and on every
// kind of route: where Check sets no X-User-ID, or is not asked, a client's own
// would reach the backend. Then they set those by which the route is looked for.
//
// Envoy itself adds to a client's X-Forwarded-For, and passes on what it has no
// use for, as X-Forwarded-Host. Where no proxy is believed the backend is to see
// what Envoy knows, and no more.
func (b builder) earlyHeaderMutations(l *config.Listener, p peerKind) []*corev3.TypedExtensionConfig {
	m := &earlyv3.HeaderMutation{Mutations: []*mutationv3.HeaderMutation{b.takeAway(p), setTreePath()}}
	if b.form == Scoped {
		m.Mutations = append(m.Mutations, setScope(placementOf(l)))
	}
	return []*corev3.TypedExtensionConfig{{
		Name:        "gatewright.headers",
		TypedConfig: mustAny(m),
	}}
}

// takeAway takes out of a message what clients may not set. It is one look at each header
// that is there, and not one for each that may not be: of these there are some fifty, and
// requests have none of them.
func (b builder) takeAway(p peerKind) *mutationv3.HeaderMutation {
	names := takenHeaders(b.config, p.believed())
	if len(p.networks) > 0 && b.config.Tracing != nil && b.config.Traces() && !b.config.TrustsTraces(true) {
		// Envoy keeps the id that such a proxy has given a request, and what is recorded
		// is decided by it. Of others it makes its own in any case.
		names = append(names, "x-request-id")
	}
	var each []string
	for _, name := range names {
		each = append(each, regexp.QuoteMeta(name))
	}
	for _, prefix := range takenPrefixes(p.believed()) {
		each = append(each, regexp.QuoteMeta(prefix)+".*")
	}
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
		RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: fits(strings.Join(each, "|"))},
	}}
}

// Takes tells whether every listener takes a header out of the requests of
// clients.
func Takes(c *config.Config, name string) bool {
	name = strings.ToLower(name)
	believed := c.TrustsProxies()
	return slices.Contains(takenHeaders(c, believed), name) ||
		slices.ContainsFunc(takenPrefixes(believed), func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// takenHeaders are the headers that are taken out of every request where proxies
// are believed or none is, in lower case.
func takenHeaders(c *config.Config, proxies bool) []string {
	all := lowerSorted(slices.Concat(IdentityHeaders(c), config.TracingHeaders(), []string{config.TraceIDHeader}))
	if c.TrustsTraces(proxies) {
		all = slices.DeleteFunc(all, func(name string) bool { return slices.Contains(config.TraceContextHeaders, name) })
	}
	if !proxies {
		all = append(all, config.ProxyHeaders...)
	}
	return all
}

// takenPrefixes are how further ones begin.
func takenPrefixes(proxies bool) []string {
	if !proxies {
		return append(slices.Clone(config.OwnPrefixes), config.ProxyPrefix)
	}
	return config.OwnPrefixes
}

func without(name string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: name}}
}
