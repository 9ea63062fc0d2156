package xds

import (
	"slices"
	"time"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatewright/gatewright/config"
)

// ChallengeRoute is the name, in logs and metrics, of the route that answers
// authorities who look for a token. It stands before all of the config's, in
// the tables of all listeners: it is asked for where there is no TLS, and authorities
// follow redirects.
const ChallengeRoute = "gatewright.challenge"

// challenged is the matcher of that route, where authorities ask.
func challenged(d Decision) []*matcherv3.Matcher_MatcherList_FieldMatcher {
	if !d.Needed {
		return nil
	}
	return []*matcherv3.Matcher_MatcherList_FieldMatcher{{
		Predicate: holds(pathInput, hasPrefix(config.ChallengePath)),
		// Check answers all of them; what passes it is a fault.
		OnMatch: takes(answering(ChallengeRoute, d, problem{status: 404, title: "Not Found", reason: "route-not-found", detail: "nobody has asked for this token"})),
	}}
}

// issuedSecretName and challengeSecretName are the names of secrets, from domains.
func issuedSecretName(domain string) string { return "issued/" + domain }

func challengeSecretName(domain string) string { return "challenge/" + domain }

// certificatesOf are the secrets that a listener is served with: those of files, and
// then those that are obtained.
func certificatesOf(l *config.Listener) []string {
	var names []string
	for _, c := range l.TLS.Certificates {
		names = append(names, certificateSecretName(c))
	}
	if l.TLS.ACME != nil {
		for _, d := range l.TLS.ACME.Domains {
			names = append(names, issuedSecretName(d))
		}
	}
	return names
}

// challengesOf are the secrets by which a listener proves its domains.
func challengesOf(l *config.Listener) []string {
	if l.TLS == nil || l.TLS.ACME == nil || l.TLS.ACME.ChallengeType() != config.ChallengeTLS {
		return nil
	}
	var names []string
	for _, d := range l.TLS.ACME.Domains {
		names = append(names, challengeSecretName(d))
	}
	return names
}

// challengeProtocol is what an authority asks for to see a proof (RFC 8737).
const challengeProtocol = "acme-tls/1"

// challengeIdle bounds a connection to see a proof, which is a handshake.
const challengeIdle = 5 * time.Second

// challengeChains are the filter chain in which authorities are shown proofs, where
// there are any. It is there all the time, so that a proof changes secrets and no
// listener, and it serves nothing: who has shaken hands may ask for anything, and
// gets a 404. It does not match by names: a name that a chain matches would be that
// chain's for all protocols, and other clients would find none.
func challengeChains(l *config.Listener) []*listenerv3.FilterChain {
	names := challengesOf(l)
	if len(names) == 0 {
		return nil
	}
	match := connectedFrom(l, nil)
	if match == nil {
		match = &listenerv3.FilterChainMatch{}
	}
	match.ApplicationProtocols = []string{challengeProtocol}
	return []*listenerv3.FilterChain{{
		Name:             "challenges",
		FilterChainMatch: match,
		TransportSocket:  downstreamSocket(proofs(names)),
		Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: mustAny(servesNothing(l))},
		}},
	}}
}

func proofs(names []string) *tlsv3.DownstreamTlsContext {
	common := &tlsv3.CommonTlsContext{TlsParams: tlsParameters("1.2"), AlpnProtocols: []string{challengeProtocol}}
	for _, name := range slices.Sorted(slices.Values(names)) {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, secretConfig(name))
	}
	return &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
}

func servesNothing(l *config.Listener) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix:                l.Name,
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(challengeIdle)},
		RequestHeadersTimeout:     durationpb.New(challengeIdle),
		RouteSpecifier:            &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{Name: "challenges"}},
		HttpFilters:               []*hcmv3.HttpFilter{httpFilter(routerFilter, &routerv3.Router{})},
	}
}
