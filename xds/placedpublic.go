package xds

import (
	"slices"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Policies that let everybody pass are as many as there are sets of backends with a
// breaker, and Envoy tries one rule after the other. So all of them have one rule, and
// their routes say by themselves that they are public, and which breakers they have.

// publicRule is its name: before all others, which begin with a digit or a letter.
const publicRule = "-public"

// metadataPublic is the key, in the metadata of a route that lets everybody pass, of the
// backends whose breakers have to be closed: a list. Other routes have none.
const metadataPublic = "public"

// lettingEverybodyPass has a route say so, where its policy does.
func lettingEverybodyPass(route *routev3.Route, p *PlacedPolicy) {
	if !p.Public {
		return
	}
	guarded := &structpb.ListValue{}
	for _, backend := range p.Breakers {
		guarded.Values = append(guarded.Values, structpb.NewStringValue(backend))
	}
	putMetadataValue(route, metadataPublic, structpb.NewListValue(guarded))
}

// publicPolicy is the rule of all policies that let everybody pass, nil where there are
// none: it lets those routes pass none of whose breakers is open, and none that has a
// breaker while it is not known which are.
func publicPolicy(policies []*PlacedPolicy, state PlacedState) *rbacv3.Policy {
	if !slices.ContainsFunc(policies, func(p *PlacedPolicy) bool { return p.Public }) {
		return nil
	}
	guardedBy := func(v *typematcherv3.ValueMatcher) *rbacv3.Permission {
		return ofRoute(metadataMatcher(inList(v), routeMetadata, metadataPublic))
	}
	all := []*rbacv3.Permission{ofRoute(metadataMatcher(presentValue(), routeMetadata, metadataPublic))}
	if state.Open == nil {
		all = append(all, isNotPermitted(guardedBy(anyText())))
	}
	// Each that is open: a route may come before the rule that is made with it.
	for _, backend := range sortedKeys(state.Open) {
		if state.Open[backend] {
			all = append(all, isNotPermitted(guardedBy(exactValue(backend))))
		}
	}
	return &rbacv3.Policy{
		Permissions: []*rbacv3.Permission{{Rule: &rbacv3.Permission_AndRules{AndRules: &rbacv3.Permission_Set{Rules: all}}}},
		Principals:  []*rbacv3.Principal{{Identifier: &rbacv3.Principal_Any{Any: true}}},
	}
}

func isNotPermitted(p *rbacv3.Permission) *rbacv3.Permission {
	return &rbacv3.Permission{Rule: &rbacv3.Permission_NotRule{NotRule: p}}
}
