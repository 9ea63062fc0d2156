package xds

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtauthnv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	rbacfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
)

// Where a policy runs inside Envoy, Envoy's filters answer one question: would Check
// surely let this request pass, as this caller? Then Check is not asked. About all else
// it is: a token that is missing, bad, or only spelt in a way that is not known, a scope
// that lacks, a policy, keys or a revocation that have not arrived. So every denial is
// Check's own, what Envoy takes is a part of what Check would, and no order in which
// config arrives lets anything through. See docs/decisions/0039.
//
// The filters come with the listener, and what is in them beside it (WithPlaced): keys
// rotate, tokens are revoked and breakers open without a change of a listener, on which
// connections would be drained. A route has no more than the name of its policy.

// PlacedPolicy is what a policy asks that runs inside Envoy.
type PlacedPolicy struct {
	// Hash is the policy's, by which routes name it.
	Hash string
	// Public tells that it lets everybody pass, as far as limits and breakers do. It has
	// no callers.
	Public bool
	// Callers are those whom it lets pass: one of them has to hold.
	Callers []PlacedCaller
	// Absent are headers, in lower case, in which other credentials come that the policy
	// takes: who shows one is asked about.
	Absent []string
	// Certificates tells that the policy takes client certificates.
	Certificates bool
	// Module is the file of the dynamic module that remembers the policy's verdicts: see
	// memory.go. Empty: Envoy's own filters judge.
	Module string
	// Limit is the limit that requests are charged to, inside Envoy as well; nil charges
	// none.
	Limit *config.Limit
	// LimitModule is the file of the dynamic module that tells clients of the limit: see
	// limitmodule.go. Empty: Envoy's own filters do.
	LimitModule string
	// Breakers are the backends with a breaker that the policy asks about unless it is
	// closed.
	Breakers []string
}

// PlacedCaller is a requirement that a token satisfies.
type PlacedCaller struct {
	Provider *config.JWT
	// Key is the address of the provider's content. Policies and filters of different
	// times name different providers by it.
	Key string
	// The rest is as in config.Requirement.
	Scopes, AnyScope, Roles, RequiredClaims []string
	Claims                                  map[string][]string
	Rule                                    string
	// BehindCertificate tells that the policy asks for a client certificate first.
	BehindCertificate bool
}

// providers are those of a policy, each once, in its order.
func (p *PlacedPolicy) providers() []PlacedCaller {
	var out []PlacedCaller
	for _, c := range p.Callers {
		if !slices.ContainsFunc(out, func(o PlacedCaller) bool { return o.Key == c.Key }) {
			out = append(out, c)
		}
	}
	return out
}

// The names of the filters, and those under which their config is asked for.
const (
	// jwtFilterPrefix begins the name of a filter that verifies the tokens of some
	// providers, whose names follow.
	jwtFilterPrefix = "gatewright.jwt."
	placeFilter     = "gatewright.place"
	// jsonFilter looks at the form of a token's claims, for placeFilter.
	jsonFilter = "gatewright.json"
	// credentialFilter takes the token away that Check would.
	credentialFilter = "gatewright.credential"
)

// jwtFilter is the name of the filter for a policy's providers; empty where there is none.
func (p *PlacedPolicy) jwtFilter() string {
	if p.remembersVerdicts() {
		return ""
	}
	var names []string
	for _, c := range p.providers() {
		names = append(names, c.Provider.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return jwtFilterPrefix + strings.Join(names, "+")
}

// The metadata by which the filters speak to each other.
const (
	// metadataPlace is the key, in a route's metadata, of the policy that may let its
	// requests pass.
	metadataPlace = "place"
	rbacMetadata  = "envoy.filters.http.rbac"
	jwtMetadata   = "envoy.filters.http.jwt_authn"
	// placePrefix begins the keys of what placeFilter says.
	placePrefix = "place_"
	placeResult = placePrefix + "shadow_engine_result"
	// jsonPrefix begins the keys of what jsonFilter says.
	jsonPrefix  = "json_"
	jsonResult  = jsonPrefix + "shadow_engine_result"
	placeAllows = "allowed"
)

// placed are the policies that run inside Envoy, by the routes of the config.
func (b builder) placed(r *config.Route, d Decision) *PlacedPolicy {
	if d.Placed == nil || !d.Needed || !b.placesSomewhere() {
		return nil
	}
	return d.Placed
}

// placesEverywhere tells whether some of policies can let somebody pass also where clients
// are asked for no certificates.
func placesEverywhere(policies []*PlacedPolicy) bool {
	return slices.ContainsFunc(policies, func(p *PlacedPolicy) bool { return !p.Certificates || len(p.Callers) > 0 })
}

// placesSomewhere tells whether some listener lets requests pass inside Envoy.
func (b builder) placesSomewhere() bool { return slices.ContainsFunc(b.config.Listeners, b.places) }

// places tells whether requests can be let pass inside Envoy on a listener.
func (b builder) places(l *config.Listener) bool {
	if l.RedirectToHTTPS != nil || l.RateLimit == config.RateLimitFilter || l.Placement == config.PlacementService {
		return false
	}
	return b.everywhere || len(b.policies.Placed) > 0 && asksClients(l)
}

// placedFilters are the filters of a listener in front of the judge that may spare it a
// request. They are off but for routes that say so.
func (b builder) placedFilters(l *config.Listener) []*hcmv3.HttpFilter {
	if !b.places(l) {
		return nil
	}
	var out []*hcmv3.HttpFilter
	for _, name := range b.jwtFilters() {
		out = append(out, discovered(name, &jwtauthnv3.JwtAuthentication{}))
	}
	if len(out) > 0 { // of tokens
		out = append(out, discovered(jsonFilter, &rbacfilterv3.RBAC{}))
	}
	// Behind those of tokens, which take away the headers that they would set.
	out = append(out, b.certificateFilters(l)...)
	if len(judgedInEnvoy(b.policies.Placed)) > 0 {
		out = append(out, discovered(b.placeFilter, &rbacfilterv3.RBAC{}))
	}
	out = append(out, b.countedFilters(l)...)
	return append(out, b.memoryFilters()...)
}

// jwtFilters are the names of those filters, sorted.
func (b builder) jwtFilters() []string {
	names := map[string]bool{}
	for _, p := range b.policies.Placed {
		if name := p.jwtFilter(); name != "" {
			names[name] = true
		}
	}
	return sortedKeys(names)
}

// discovered is a filter, off but for routes that say so, whose config is served beside
// the listener. Until it is there the filter has another, which does nothing: so nothing
// waits for it, and Check is asked.
func discovered(name string, none proto.Message) *hcmv3.HttpFilter {
	idle := mustAny(none)
	return &hcmv3.HttpFilter{
		Name:     name,
		Disabled: true,
		ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: &corev3.ExtensionConfigSource{
			ConfigSource:                     adsSource(),
			DefaultConfig:                    idle,
			ApplyDefaultConfigWithoutWarming: true,
			TypeUrls:                         []string{idle.GetTypeUrl()},
		}},
	}
}

// placedOf are the resources that a listener's filters ask for.
func (b builder) placedOf(l *config.Listener) []id {
	var out []id
	for _, f := range slices.Concat(b.placedFilters(l), b.callerFilters(l), b.limitFilters(l)) {
		if f.GetConfigDiscovery() != nil {
			out = append(out, id{resource.ExtensionConfigType, f.GetName()})
		}
	}
	return out
}

// unlessPlaced has the judge asked about what those filters have not let pass.
func (b builder) unlessPlaced(l *config.Listener) *typematcherv3.MetadataMatcher {
	if !b.places(l) {
		return nil
	}
	m := metadataMatcher(exactValue(placeAllows), rbacMetadata, placeResult)
	m.Invert = true
	return m
}

// withPlacement has a route's requests let pass by a policy inside Envoy.
func (b builder) withPlacement(route *routev3.Route, r *config.Route, d Decision) {
	p := b.placed(r, d)
	if p == nil {
		return
	}
	putMetadata(route, metadataPlace, p.Hash)
	if p.remembersVerdicts() {
		route.TypedPerFilterConfig[memoryFilter] = switchedOn
		underLimit(route, p)
		return
	}
	lettingEverybodyPass(route, p)
	route.TypedPerFilterConfig[b.placeFilter] = switchedOn
	route.TypedPerFilterConfig[callerFilter] = switchedOn
	underLimit(route, p)
	underCertificates(route, p)
	if name := p.jwtFilter(); name != "" {
		for _, filter := range []string{name, jsonFilter, forgetFilter} {
			route.TypedPerFilterConfig[filter] = switchedOn
		}
	}
	if p.takesTokenAway() {
		route.TypedPerFilterConfig[credentialFilter] = switchedOn
	}
}

// takesTokenAway tells whether the backend is to see no token. The providers of a policy
// that runs inside Envoy are of one mind. Where verdicts are remembered, that is a part of
// them.
func (p *PlacedPolicy) takesTokenAway() bool {
	return !p.remembersVerdicts() && slices.ContainsFunc(p.Callers, func(c PlacedCaller) bool { return !c.Provider.ForwardCredential })
}

// exactValue is the condition that a value is this text.
func exactValue(text string) *typematcherv3.ValueMatcher {
	return textValueMatch(&typematcherv3.StringMatcher{MatchPattern: &typematcherv3.StringMatcher_Exact{Exact: text}})
}

func textValueMatch(m *typematcherv3.StringMatcher) *typematcherv3.ValueMatcher {
	return &typematcherv3.ValueMatcher{MatchPattern: &typematcherv3.ValueMatcher_StringMatch{StringMatch: m}}
}

// metadataMatcher is a condition of what is at a path of metadata.
func metadataMatcher(value *typematcherv3.ValueMatcher, namespace string, path ...string) *typematcherv3.MetadataMatcher {
	m := &typematcherv3.MetadataMatcher{Filter: namespace, Value: value}
	for _, key := range path {
		m.Path = append(m.Path, &typematcherv3.MetadataMatcher_PathSegment{
			Segment: &typematcherv3.MetadataMatcher_PathSegment_Key{Key: key},
		})
	}
	return m
}
