package xds

import (
	_ "embed"
	"slices"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	setfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networkinputsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/config"
)

// A route's own filters run in filters of the listener (routefilters.go). Connections
// that are older than these have none, until they are drained, up to ten minutes: there
// a template's secrets would pass, and clients could say in a header what the gateway was
// to say of them. So templates and edits stand once more in the clusters of the route's
// backends, which every next request goes through (upstreamfilters.go), and run there
// where they have not run before: what the listener's filters have done they leave a mark
// of, which no client can.
//
// There the route's plain changes have been made already, a mirror has been sent its
// copy, and calls are calls. Where what is to be done would be another thing by that, the
// request is refused, until the client has a new connection.

// lateBodies and lateEdits are the filters of a cluster that run them. They are two,
// since what waits for somebody must not have a neighbour behind it: see routeFilters.
const (
	lateBodies = "gatewright.late_bodies"
	lateEdits  = "gatewright.late_edits"
)

// ranState is the mark.
const ranState = "gatewright.own_filters"

// late are the late filters that a route or a backend has.
type late struct{ bodies, edits bool }

// lateOf are those of a route.
func lateOf(r *config.Route) late {
	edited := editsSomething(r)
	switch {
	case len(r.To) == 0 || r.Body == nil && !edited:
		return late{}
	case !sameLate(r):
		return late{bodies: true}
	}
	return late{bodies: r.Body != nil, edits: edited}
}

// sameLate tells whether a route's templates and edits make the same of a request in the
// cluster as in the listener.
func sameLate(r *config.Route) bool {
	switch {
	case r.GRPCTranscode != nil, // what comes is a call
		len(r.AllMirrors()) > 0,                                  // copies go before, and do not meet what stands in clusters
		r.RewritesRequests() && r.Decompresses(config.OfRequest), // nothing has unpacked it
		slices.ContainsFunc(r.To, func(to *config.Destination) bool { return to.Request != nil || to.Response != nil }): // they were to change what was made
		return false
	}
	return !r.ReadsRequests() || !changesPlainly(r)
}

// changesPlainly tells whether the route itself changes the path, the host or headers of
// a request. (That the backends of some are not asked for parts, nor for compressed
// answers, is no matter.)
func changesPlainly(r *config.Route) bool {
	if w := r.Rewrite; w != nil {
		if host, _ := config.ParseTemplate(w.Host); w.Path != "" || w.Host != "" && !host.Varies() {
			return true
		}
	}
	return len(putHeaders(r.Request)) > 0 || len(removed(r.Request)) > 0
}

// lateBackends are the late filters of backends, by name.
func lateBackends(c *config.Config) map[string]late {
	out := map[string]late{}
	for _, r := range c.Routes {
		of := lateOf(r)
		if of == (late{}) {
			continue
		}
		for _, name := range backendsOf(c, r) {
			out[name] = late{bodies: out[name].bodies || of.bodies, edits: out[name].edits || of.edits}
		}
	}
	return out
}

// lateFilters are those of a backend's cluster, in the order in which a request meets
// them, as in the listener.
func (b builder) lateFilters(backend *config.Backend) []*hcmv3.HttpFilter {
	var out []*hcmv3.HttpFilter
	of := b.late[backend.Name]
	if of.bodies {
		out = append(out, httpFilter(lateBodies, &compositev3.Composite{}))
	}
	if of.edits {
		out = append(out, httpFilter(lateEdits, &compositev3.Composite{}))
	}
	return out
}

// withLateFilters has a route's templates and edits in those.
func withLateFilters(settings map[string]*anypb.Any, r *config.Route) {
	of := lateOf(r)
	switch {
	case of.bodies && !sameLate(r):
		settings[lateBodies] = runningLate(refuseLate())
	case of.bodies:
		settings[lateBodies] = runningLate(slices.Concat(bodyLimit(r), templateLimit(r), rewriting(r, true))...)
	}
	if of.edits {
		settings[lateEdits] = runningLate(edits(r, true)...)
	}
}

// runningLate has a composite filter run these where the mark is not there.
func runningLate(chain ...*corev3.TypedExtensionConfig) *anypb.Any {
	m := &matcherv3.Matcher{MatcherType: &matcherv3.Matcher_MatcherList_{MatcherList: &matcherv3.Matcher_MatcherList{
		Matchers: []*matcherv3.Matcher_MatcherList_FieldMatcher{{
			Predicate: not(holds(ranInput, exactly(ran))),
			OnMatch:   does("filters", executing(named(chain))),
		}},
	}}}
	return mustAny(&compositev3.CompositePerRoute{Matcher: m})
}

// ran is what the mark says.
const ran = "1"

var ranInput = &xdscorev3.TypedExtensionConfig{
	Name:        "ran",
	TypedConfig: mustAny(&networkinputsv3.FilterStateInput{Key: ranState}),
}

// markRan is the filter that leaves the mark; none where nothing looks for it.
func markRan(r *config.Route) []*corev3.TypedExtensionConfig {
	if lateOf(r) == (late{}) {
		return nil
	}
	return []*corev3.TypedExtensionConfig{extension("ran", &setfilterstatev3.Config{
		OnRequestHeaders: []*filterstatev3.FilterStateValue{filterState(ranState, ran)},
	})}
}

//go:embed late.lua
var lateScript string

// refuseLate refuses what comes to it.
func refuseLate() *corev3.TypedExtensionConfig {
	return extension("refuse", &luav3.Lua{
		DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: lateScript}},
		SharedVmId:        "gatewright.late",
	})
}
