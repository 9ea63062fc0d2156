package xds

import (
	"regexp"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// The keys of a route's context_extensions: what Check learns from Envoy about
// the route that it judges.
const (
	contextRoute   = "route"
	contextBackend = "backend"
	contextPolicy  = "policy"
	// contextPinned: a pin has picked the backend.
	contextPinned = "pinned"
	// contextRemembers: Envoy remembers what is told of certificates, or of verdicts.
	contextRemembers = "remembers"
	ofCertificates   = "true"
	ofVerdicts       = "verdicts"
)

// routes are Envoy's routes for one of ours: one for each value of its pin,
// which is more specific than the route itself, and then the route.
func (b builder) routes(r *config.Route, decision Decision, placement config.RateLimitPlacement) []*routev3.Route {
	base := b.baseRoute(r, decision)
	switch {
	case len(r.To) == 0:
		return []*routev3.Route{b.answeringItself(base, r, decision)}
	case len(r.To) == 1:
		return append(b.pinned(base, r, decision, placement), b.toBackend(base, r, r.To[0], decision, placement))
	}
	return append(b.pinned(base, r, decision, placement), b.toSplit(base, r, decision, placement))
}

// baseRoute is what Envoy's routes for one of ours have in common.
func (b builder) baseRoute(r *config.Route, d Decision) *routev3.Route {
	base := &routev3.Route{
		Name:                    r.Name,
		Match:                   routeMatch(r.Match),
		RequestHeadersToAdd:     putHeaders(r.Request),
		RequestHeadersToRemove:  removed(r.Request),
		ResponseHeadersToAdd:    putHeaders(r.Response),
		ResponseHeadersToRemove: removed(r.Response),
		RequestBodyBufferLimit:  bodyBuffer(r),
	}
	base.RequestHeadersToRemove = append(base.RequestHeadersToRemove, unrewritable(r)...)
	if b.mayReroute(r, d) {
		base.RequestHeadersToRemove = append(base.RequestHeadersToRemove, config.RerouteHeader)
	}
	underCORS(base, r.CORS)
	base.Tracing = routeTracing(r.Tracing)
	return base
}

// answeringItself is a route without a backend.
func (b builder) answeringItself(route *routev3.Route, r *config.Route, d Decision) *routev3.Route {
	if r.Redirect != nil {
		route.Action = &routev3.Route_Redirect{Redirect: redirect(r)}
	} else {
		route.ResponseHeadersToAdd = append(route.ResponseHeadersToAdd, setHeaders(r.Respond.Headers)...)
		route.Action = &routev3.Route_DirectResponse{DirectResponse: directResponse(r.Respond.Status, r.Respond.Body)}
	}
	route.TypedPerFilterConfig = b.filterSettings(r, d, "")
	b.withPlacement(route, r, d)
	return route
}

// destination is the side of a route that a backend is. A fallback may be none,
// and then has no changes of headers of its own.
func destination(r *config.Route, backend string) *config.Destination {
	for _, to := range r.To {
		if to.Backend == backend {
			return to
		}
	}
	return &config.Destination{Backend: backend}
}

// toBackend sends a route to one backend, with the changes of headers that are
// for this backend.
func (b builder) toBackend(route *routev3.Route, r *config.Route, to *config.Destination, d Decision, p config.RateLimitPlacement) *routev3.Route {
	action := b.routeAction(r, p)
	action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: to.Backend}
	route.Action = &routev3.Route_Route{Route: action}
	route.TypedPerFilterConfig = b.filterSettings(r, d, to.Backend)
	b.withPlacement(route, r, d)
	b.underAdaptive(route.TypedPerFilterConfig, to.Backend)
	route.RequestHeadersToAdd = append(route.RequestHeadersToAdd, putHeaders(to.Request)...)
	route.RequestHeadersToRemove = append(route.RequestHeadersToRemove, removed(to.Request)...)
	route.ResponseHeadersToAdd = append(route.ResponseHeadersToAdd, putHeaders(to.Response)...)
	route.ResponseHeadersToAdd = append(route.ResponseHeadersToAdd, b.affinityCookie(to.Backend)...)
	route.ResponseHeadersToRemove = append(route.ResponseHeadersToRemove, removed(to.Response)...)
	return route
}

// toSplit sends a route to several backends by weight. Envoy merges the
// settings of the picked backend into those of the route, so that Check learns
// which side of a canary the request will take.
func (b builder) toSplit(route *routev3.Route, r *config.Route, d Decision, p config.RateLimitPlacement) *routev3.Route {
	weighted := &routev3.WeightedCluster{}
	for _, side := range sides(r) {
		to := destination(r, side.Backend)
		member := &routev3.WeightedCluster_ClusterWeight{
			Name:   to.Backend,
			Weight: wrapperspb.UInt32(side.Width),

			RequestHeadersToAdd:     putHeaders(to.Request),
			RequestHeadersToRemove:  removed(to.Request),
			ResponseHeadersToAdd:    append(putHeaders(to.Response), b.affinityCookie(to.Backend)...),
			ResponseHeadersToRemove: removed(to.Response),
		}
		settings := map[string]*anypb.Any{}
		if d.Needed {
			settings[extAuthzFilter] = checkSettings(r, map[string]string{contextBackend: to.Backend})
		}
		b.underAdaptive(settings, to.Backend)
		if len(settings) > 0 {
			member.TypedPerFilterConfig = settings
		}
		weighted.Clusters = append(weighted.Clusters, member)
	}
	action := b.routeAction(r, p)
	keepTogether(action, weighted, r)
	action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: weighted}
	route.Action = &routev3.Route_Route{Route: action}
	route.TypedPerFilterConfig = b.filterSettings(r, d, "")
	b.withPlacement(route, r, d)
	return route
}

// filterSettings are a route's settings of the filters in front of it: what
// Check is told, the picked backend where it is known already, or that it need
// not be asked.
func (b builder) filterSettings(r *config.Route, d Decision, backend string) map[string]*anypb.Any {
	settings := b.unjudgedRoute()
	if d.Needed {
		settings[extAuthzFilter] = checkSettings(r, b.checkContext(r, d, backend))
	}
	if r.CORS != nil {
		settings[corsFilter] = mustAny(corsPolicy(r))
	}
	b.withOwnFilters(settings, r)
	withBodyBound(settings, r)
	withLateFilters(settings, r)
	underTranscoding(settings, r.GRPCTranscode)
	underGRPCWeb(settings, r)
	return settings
}

// checkContext is what Check is told of a route.
func (b builder) checkContext(r *config.Route, d Decision, backend string) map[string]string {
	context := map[string]string{contextRoute: r.Name, contextPolicy: d.Policy}
	if backend != "" {
		context[contextBackend] = backend
	}
	switch p := b.placed(r, d); {
	case p.remembersCertificates():
		context[contextRemembers] = ofCertificates
	case p.remembersVerdicts():
		context[contextRemembers] = ofVerdicts
	}
	return context
}

// unjudged are the settings of a route that makes no call. They are the caller's
// own, what is in them is not.
func unjudged() map[string]*anypb.Any { return map[string]*anypb.Any{extAuthzFilter: noCheck} }

var noCheck = mustAny(&extauthzv3.ExtAuthzPerRoute{Override: &extauthzv3.ExtAuthzPerRoute_Disabled{Disabled: true}})

// unjudgedRoute are those of a route of the config, which may have most of the requests
// there are: the filter is not even made for one. Envoy decides on that when it knows a
// request's first route. Of a request that finds its route in a second attempt the filter
// is there, and has to be told what it can read.
//
// A route that is judged has other settings of the filter, and one that says nothing has
// it, too; no filter in front of the judge looks for the route again where there is one.
// So no request misses its judge by this, in whichever order config arrives.
func (b builder) unjudgedRoute() map[string]*anypb.Any {
	if b.looksAgain {
		return unjudged()
	}
	return map[string]*anypb.Any{extAuthzFilter: switchedOff}
}

// checkSettings are what a route has Check told. r is nil where it is none of the
// config's.
func checkSettings(r *config.Route, context map[string]string) *anypb.Any {
	settings := &extauthzv3.CheckSettings{ContextExtensions: context}
	if r != nil && r.OpenAPI != nil {
		settings.WithRequestBody = wholeBody(r.OpenAPI.BodyBound())
	}
	return mustAny(&extauthzv3.ExtAuthzPerRoute{
		Override: &extauthzv3.ExtAuthzPerRoute_CheckSettings{CheckSettings: settings},
	})
}

// wholeBody has Envoy hold a request's body, up to so many bytes, and send it with
// the Check: what is larger is a 413. (Where the whole of it comes at once, Envoy cuts it
// in spite of AllowPartialMessage, and the Check answers 413.) It comes with the route whose policy asks for
// it, so that at no time a body that is to be judged passes unseen.
func wholeBody(most int) *extauthzv3.BufferSettings {
	return &extauthzv3.BufferSettings{MaxRequestBytes: uint32(most), AllowPartialMessage: false, PackAsBytes: true}
}

// routeAction is what all destinations of a route share.
func (b builder) routeAction(r *config.Route, p config.RateLimitPlacement) *routev3.RouteAction {
	times := r.Times()
	action := &routev3.RouteAction{
		Timeout:     durationpb.New(times.Whole),
		IdleTimeout: idle(r),
		RetryPolicy: retryPolicy(r.Retry, times.Begin),
		HedgePolicy: hedgePolicy(r.Hedge),

		MaxStreamDuration:     deadline(r, times),
		UpgradeConfigs:        upgrades(r.Upgrades),
		RequestMirrorPolicies: mirrors(r),
	}
	rewritten(action, r)
	if p == config.RateLimitFilter {
		action.RateLimits = b.rateLimitActions(r)
	}
	return action
}

// deadline has Envoy keep a call's own deadline (grpc-timeout) where the route has no
// time for it: nothing else would end a call that its backend never answers, and whose
// client has forgotten it.
func deadline(r *config.Route, t config.Times) *routev3.RouteAction_MaxStreamDuration {
	if r.Match.GRPC == nil || t.Whole > 0 || t.Begin > 0 {
		return nil
	}
	return &routev3.RouteAction_MaxStreamDuration{GrpcTimeoutHeaderMax: durationpb.New(0)}
}

// idle is the time in which something of a route's request must move; nil leaves it to
// the listener.
func idle(r *config.Route) *durationpb.Duration {
	return durationOrNil(config.Duration(r.Times().Idle))
}

// durationOrNil is a duration, or nothing where it is 0: to Envoy a 0 is no
// bound, to us the default.
func durationOrNil(d config.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(time.Duration(d))
}

// routeMatch is Envoy's condition for ours; the host is the virtual host's.
func routeMatch(m config.Match) *routev3.RouteMatch {
	out := &routev3.RouteMatch{}
	setPath(out, m.Path)
	if len(m.Methods) > 0 {
		out.Headers = append(out.Headers, methodIn(methodHeader, m.Methods))
	}
	for _, name := range sortedKeys(m.Headers) {
		out.Headers = append(out.Headers, headerMatch(name, m.Headers[name]))
	}
	for _, name := range sortedKeys(m.Query) {
		out.QueryParameters = append(out.QueryParameters, queryMatch(name, m.Query[name]))
	}
	return out
}

// setPath sets the path condition. Prefixes end at segment borders, so that
// /a/** does not take /ab.
func setPath(m *routev3.RouteMatch, path string) {
	prefix, rest := strings.CutSuffix(path, "/**")
	switch {
	case strings.Contains(path, "{"):
		m.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: pathRegex(prefix, rest)}}
	case !rest:
		m.PathSpecifier = &routev3.RouteMatch_Path{Path: path}
	case prefix == "":
		m.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: "/"}
	default:
		m.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}
	}
}

// pathRegex is the expression for a path with variables. A route's match has
// it without the query, a matcher with one behind it.
func pathRegex(prefix string, rest bool) string {
	segments := strings.Split(prefix, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i] = "[^/?]+"
		} else {
			segments[i] = regexp.QuoteMeta(s)
		}
	}
	out := strings.Join(segments, "/")
	if rest {
		out += "(/.*)?"
	}
	return out
}

const methodHeader = ":method"

// methodIn is the condition that a header is one of several methods.
func methodIn(name string, methods []string) *routev3.HeaderMatcher {
	if len(methods) == 1 {
		return headerExact(name, methods[0])
	}
	sorted := slices.Sorted(slices.Values(methods))
	for i, m := range sorted {
		sorted[i] = regexp.QuoteMeta(m)
	}
	return header(name, fits(strings.Join(sorted, "|")))
}

func directResponse(status int, body string) *routev3.DirectResponseAction {
	d := &routev3.DirectResponseAction{Status: uint32(status)}
	if body != "" {
		d.Body = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: body}}
	}
	return d
}
