package xds

import (
	"encoding/json"
	"errors"
	"maps"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtauthnv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	rbacfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gatewright/gatewright/config"
)

// PlacedState is what decides about requests inside Envoy and is in no config. The zero
// value lets none pass for which anything has to be known.
type PlacedState struct {
	// Keys are the public keys of providers, by PlacedCaller.Key. A provider without
	// any has all tokens asked about.
	Keys map[string][]PlacedKey
	// Nameless is how many keys of a provider have no kid, by the same.
	Nameless map[string]int
	// Digests stand each for all keys of a provider, those without a kid too, by the same.
	// A provider of which none are known has none.
	Digests map[string]string
	// RevocationsUnknown tells that no token may be taken, since nobody knows which have
	// been revoked.
	RevocationsUnknown bool
	// Revoked are the revocations in force.
	Revoked []PlacedRevocation
	// Open are the backends whose breakers are not closed; nil where that is not known.
	Open map[string]bool
	// IssuedBefore is a time that is over: a token that was issued before is not of the
	// future, so that nobody has to look at a clock for it. Zero: for each token one has to.
	IssuedBefore time.Time
	// Version is that of the config, for the log. It decides nothing. Empty: the log has
	// none.
	Version string
}

// PlacedKey is a public key of an issuer.
type PlacedKey struct {
	// ID is the key's kid. Tokens that name none are asked about.
	ID string
	// Algorithms are those that the provider takes of it.
	Algorithms []string
	// Members are those of its JWK (RFC 7517) that make the key: kty, n, e, crv, x, y.
	Members map[string]string
}

// PlacedRevocation is a revocation of tokens: of the one with this ID, of those of a
// subject, or of all of the issuer where neither is given.
type PlacedRevocation struct {
	Issuer, ID, Subject string
	// IssuedBefore is when what is issued later is not meant. Not for an ID.
	IssuedBefore time.Time
}

// maxPlacedRevocations is how many revocations of an issuer Envoy looks through; where
// there are more, its tokens are asked about.
const maxPlacedRevocations = 64

// WithPlaced are the resources with what runs inside Envoy as it stands now.
func (r Resources) WithPlaced(policies []*PlacedPolicy, state PlacedState) (Resources, error) {
	if len(r[resource.ExtensionConfigType]) == 0 {
		return r, nil
	}
	s := set{next: maps.Clone(r)}
	s.next[resource.ExtensionConfigType] = maps.Clone(r[resource.ExtensionConfigType])
	addPlaced(&s, policies, state)
	return s.next, errors.Join(s.errs...)
}

// SameBeside tells whether two sets have the same of what is in no plan: secrets,
// endpoints, and policies inside Envoy.
func (r Resources) SameBeside(other Resources) bool {
	return r.SameSecrets(other) && r.SameEndpoints(other) && r.samePlaced(other)
}

func (r Resources) samePlaced(other Resources) bool {
	return maps.EqualFunc(r[resource.ExtensionConfigType], other[resource.ExtensionConfigType], func(a, b Resource) bool { return a.Version == b.Version })
}

// addPlaced adds the filters that some listener has.
func (b builder) addPlaced(s *set) {
	if b.placesSomewhere() {
		addPlaced(s, b.policies.Placed, PlacedState{})
		b.putLimits(s)
	}
}

func addPlaced(s *set, policies []*PlacedPolicy, state PlacedState) {
	addMemory(s, policies, state)
	if policies = judgedInEnvoy(policies); len(policies) == 0 {
		return
	}
	byFilter := map[string][]PlacedCaller{}
	for _, p := range policies {
		if name := p.jwtFilter(); name != "" {
			byFilter[name] = p.providers()
		}
	}
	keys := keyHeaders(placedLimits(policies))
	for _, name := range sortedKeys(byFilter) {
		putFilter(s, name, jwtAuthentication(byFilter[name], keys, state))
	}
	if len(byFilter) > 0 {
		putFilter(s, jsonFilter, jsonFilterFor(policies))
		putFilter(s, forgetFilter, forgottenClaims(policies))
	}
	putFilter(s, callerFilter, keptCaller(policies, state.Version))
	putFilter(s, placeFilterOf(policies), placement(policies, state))
}

func putFilter(s *set, name string, m validatable) {
	if err := m.ValidateAll(); err != nil {
		s.errs = append(s.errs, err)
		return
	}
	s.put(resource.ExtensionConfigType, newResource(resource.ExtensionConfigType, name, &corev3.TypedExtensionConfig{Name: name, TypedConfig: mustAny(m)}, nil))
}

// tokenCache is how many verified tokens each thread of an Envoy remembers for a
// provider.
const tokenCache = 4096

// jwtAuthentication verifies the tokens of providers, and lets everything pass: what it
// says of a token is metadata.
func jwtAuthentication(providers []PlacedCaller, of []keyHeader, state PlacedState) *jwtauthnv3.JwtAuthentication {
	out := &jwtauthnv3.JwtAuthentication{}
	var anyOf []*jwtauthnv3.JwtRequirement
	for _, p := range providers {
		keys := state.Keys[p.Key]
		if len(keys) == 0 {
			continue
		}
		if out.Providers == nil {
			out.Providers = map[string]*jwtauthnv3.JwtProvider{}
		}
		out.Providers[p.Key] = jwtProvider(p, keys, of)
		anyOf = append(anyOf, &jwtauthnv3.JwtRequirement{RequiresType: &jwtauthnv3.JwtRequirement_ProviderName{ProviderName: p.Key}})
	}
	if len(anyOf) == 0 {
		return out
	}
	anyOf = append(anyOf, &jwtauthnv3.JwtRequirement{RequiresType: &jwtauthnv3.JwtRequirement_AllowMissingOrFailed{AllowMissingOrFailed: &emptypb.Empty{}}})
	out.Rules = []*jwtauthnv3.RequirementRule{{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		RequirementType: &jwtauthnv3.RequirementRule_Requires{Requires: &jwtauthnv3.JwtRequirement{
			RequiresType: &jwtauthnv3.JwtRequirement_RequiresAny{RequiresAny: &jwtauthnv3.JwtRequirementOrList{Requirements: anyOf}},
		}},
	}}
	return out
}

func jwtProvider(p PlacedCaller, keys []PlacedKey, of []keyHeader) *jwtauthnv3.JwtProvider {
	out := &jwtauthnv3.JwtProvider{
		Issuer:              p.Provider.Issuer,
		Audiences:           p.Provider.Audiences,
		RequireExpiration:   true,
		ClockSkewSeconds:    uint32(skewOf(p.Provider)/time.Second) - 1,
		JwksSourceSpecifier: &jwtauthnv3.JwtProvider_LocalJwks{LocalJwks: inline(keySet(keys))},
		// Whoever is asked needs it; see credentialFilters.
		Forward:           true,
		FromHeaders:       []*jwtauthnv3.JwtHeader{{Name: "authorization", ValuePrefix: bearerPrefix}},
		PayloadInMetadata: p.Key,
		JwtCacheConfig:    &jwtauthnv3.JwtCacheConfig{JwtCacheSize: tokenCache, JwtMaxTokenSize: maxToken},
	}
	for _, claim := range sortedKeys(p.Provider.Forward) {
		out.ClaimToHeaders = append(out.ClaimToHeaders, &jwtauthnv3.JwtClaimToHeader{HeaderName: p.Provider.Forward[claim], ClaimName: claim})
	}
	for _, h := range of { // of policies that charge no such limit nobody reads them
		out.ClaimToHeaders = append(out.ClaimToHeaders, &jwtauthnv3.JwtClaimToHeader{HeaderName: h.header, ClaimName: h.claim})
	}
	return out
}

// skewOf is the leeway of a provider's clock, of whole seconds.
func skewOf(p *config.JWT) time.Duration { return p.ClockSkew.Or(30 * time.Second) }

// keySet is a JWKS of keys, of which each is there once for each algorithm: Envoy has no
// other way of saying that some are not to be used.
func keySet(keys []PlacedKey) []byte {
	var all []map[string]string
	for _, k := range keys {
		for _, alg := range k.Algorithms {
			jwk := maps.Clone(k.Members)
			jwk["kid"], jwk["alg"], jwk["use"] = k.ID, alg, "sig"
			all = append(all, jwk)
		}
	}
	out, _ := json.Marshal(map[string]any{"keys": all}) // texts: cannot fail
	return out
}

// placement is the filter that decides who is let pass: by rules that enforce nothing,
// and say in metadata what they would have.
func placement(policies []*PlacedPolicy, state PlacedState) *rbacfilterv3.RBAC {
	rules := map[string]*rbacv3.Policy{}
	callers := callersOf(policies)
	for _, p := range policies {
		if p.Public || len(p.askedNow(state)) > 0 {
			continue
		}
		maps.Copy(rules, placedRules(p, state, callers))
	}
	if public := publicPolicy(policies, state); public != nil {
		rules[publicRule] = public
	}
	if len(rules) == 0 {
		return &rbacfilterv3.RBAC{}
	}
	return &rbacfilterv3.RBAC{
		ShadowRules:           &rbacv3.RBAC{Action: rbacv3.RBAC_ALLOW, Policies: rules},
		ShadowRulesStatPrefix: placePrefix,
	}
}
