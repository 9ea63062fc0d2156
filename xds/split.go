package xds

import (
	"regexp"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/split"
)

// pinned are a route for each value of its pin, but of a pin by a claim, which
// Check knows: see Policy.Split of package authz.
func (b builder) pinned(base *routev3.Route, r *config.Route, d Decision, p config.RateLimitPlacement) []*routev3.Route {
	if r.Pin == nil || r.Pin.Claim != "" {
		return nil
	}
	var out []*routev3.Route
	for _, value := range sortedKeys(r.Pin.Values) {
		route := cloneRoute(base)
		route.Match.Headers = append(route.Match.Headers, pinMatch(r.Pin, value))
		backend := r.Pin.Values[value]
		route = b.toBackend(route, r, destination(r, backend), d, p)
		if r.KeptByCaller() { // or else it does not matter to Check
			context := b.checkContext(r, d, backend)
			context[contextPinned] = "true"
			route.TypedPerFilterConfig[extAuthzFilter] = checkSettings(r, context)
		}
		out = append(out, route)
	}
	return out
}

// pinMatch is the condition that a request has a value of the pin.
func pinMatch(p *config.Pin, value string) *routev3.HeaderMatcher {
	if p.Cookie != "" {
		return header("cookie", fits(cookieRegex(p.Cookie, value)))
	}
	return headerExact(p.Header, value)
}

// cookieRegex fits a Cookie header in which a cookie has a value, in quotes or
// without.
func cookieRegex(name, value string) string {
	value = regexp.QuoteMeta(value)
	return `(` + anyBytes + `; *)?` + regexp.QuoteMeta(name) + `=("` + value + `"|` + value + `)(;` + anyBytes + `)?`
}

// sides are the sides of a split with their weights, in the order in which Envoy
// lays them on its own line. Where callers are kept that is the line that Check
// has as well; where chance decides the order and the scale do not matter.
func sides(r *config.Route) split.Line {
	if len(r.Sticky) > 0 {
		return split.Of(r.To)
	}
	out := make(split.Line, len(r.To))
	for i, to := range r.To {
		out[i] = split.Side{Backend: to.Backend, Width: uint32(*to.Weight)}
	}
	return out
}

// keepTogether has Envoy pick the side of a split by the first part of sticky
// that a request has. Where that is who the caller is, Check picks it, and what
// Envoy picks stands for those who have no part of it.
func keepTogether(action *routev3.RouteAction, split *routev3.WeightedCluster, r *config.Route) {
	if len(r.Sticky) == 0 || r.KeptByCaller() {
		return
	}
	for _, part := range r.Sticky {
		action.HashPolicy = append(action.HashPolicy, hashPolicy(part))
	}
	split.RandomValueSpecifier = &routev3.WeightedCluster_UseHashPolicy{UseHashPolicy: wrapperspb.Bool(true)}
}

// hashPolicy hashes one part, and ends there where the request has it.
func hashPolicy(part config.StickyPart) *routev3.RouteAction_HashPolicy {
	policy := &routev3.RouteAction_HashPolicy{Terminal: true}
	if name, ok := part.Header(); ok {
		policy.PolicySpecifier = &routev3.RouteAction_HashPolicy_Header_{Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: name}}
	} else if name, ok := part.Cookie(); ok {
		policy.PolicySpecifier = &routev3.RouteAction_HashPolicy_Cookie_{Cookie: &routev3.RouteAction_HashPolicy_Cookie{Name: name}}
	} else { // of those that are not the caller's, the client's address is left
		policy.PolicySpecifier = &routev3.RouteAction_HashPolicy_ConnectionProperties_{
			ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true},
		}
	}
	return policy
}
