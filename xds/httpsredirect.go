package xds

import (
	"cmp"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatewright/gatewright/config"
)

// RedirectRoute and ACMERoute are the names, in logs and metrics, of the routes of a
// listener that redirects to https.
const (
	RedirectRoute = "gatewright.https"
	ACMERoute     = "gatewright.acme"
)

// acmePath is below which an authority asks for what it has told the one who wants a
// certificate (RFC 8555, section 8.3).
const acmePath = "/.well-known/acme-challenge/"

// redirectsToHTTPS has a listener do nothing but redirect. Its routes are in the
// listener itself: were they in the tables, an Envoy that has the listener before its
// table would for a moment serve in plain text what is not to be served so. Nobody is
// asked about a redirect, so that nobody has to be away for it; where authorities look for
// challenges of ours, Check is asked about these alone.
func (b builder) redirectsToHTTPS(m *hcmv3.HttpConnectionManager, l *config.Listener) {
	r := l.RedirectToHTTPS
	m.HttpFilters = []*hcmv3.HttpFilter{httpFilter(routerFilter, &routerv3.Router{SuppressEnvoyHeaders: true})}
	redirect := httpsRedirect(r)
	if b.policies.Challenges.Needed {
		m.HttpFilters = append([]*hcmv3.HttpFilter{httpFilter(extAuthzFilter, b.extAuthz(l))}, m.HttpFilters...)
		redirect.TypedPerFilterConfig = unjudged()
	}
	first := &matcherv3.Matcher_MatcherList{Matchers: append(refusals(everyHost, Decision{}), challenged(b.policies.Challenges)...)}
	for _, route := range openRoutes(r) {
		first.Matchers = append(first.Matchers, &matcherv3.Matcher_MatcherList_FieldMatcher{
			Predicate: holds(pathInput, hasPrefix(route.GetMatch().GetPrefix())),
			OnMatch:   takes(route),
		})
	}
	table := &routev3.RouteConfiguration{
		Name:                   RedirectRoute,
		RequestHeadersToAdd:    b.traceHeader(),
		RequestHeadersToRemove: []string{scopeHeader, pathHeader},
		ResponseHeadersToAdd:   b.traceHeader(),
		VirtualHosts: []*routev3.VirtualHost{{
			Name: everyHost, Domains: []string{everyHost},
			Matcher: listed(first, takes(redirect)),
		}},
	}
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: table}
}

// openRoutes are what such a listener serves all the same, each by a prefix of the
// path.
func openRoutes(r *config.HTTPSRedirect) []*routev3.Route {
	if r.ACMEChallenges == "" {
		return nil
	}
	return []*routev3.Route{{
		Name:  ACMERoute,
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: acmePath}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: r.ACMEChallenges},
			Timeout:          durationpb.New(config.DefaultRouteTimeout),
		}},
	}}
}

func httpsRedirect(r *config.HTTPSRedirect) *routev3.Route {
	to := &routev3.RedirectAction{
		SchemeRewriteSpecifier: &routev3.RedirectAction_HttpsRedirect{HttpsRedirect: true},
		ResponseCode:           redirectCodes[cmp.Or(r.Status, 308)],
	}
	if r.Port != 443 {
		to.PortRedirect = uint32(r.Port) // 0 is none: the port that https has
	}
	return &routev3.Route{Name: RedirectRoute, Match: anyRequest(), Action: &routev3.Route_Redirect{Redirect: to}}
}

// clustersOfListener are the clusters that a listener itself sends requests to.
func clustersOfListener(l *config.Listener) []id {
	if l.RedirectToHTTPS == nil || l.RedirectToHTTPS.ACMEChallenges == "" {
		return nil
	}
	return []id{{resource.ClusterType, l.RedirectToHTTPS.ACMEChallenges}}
}
