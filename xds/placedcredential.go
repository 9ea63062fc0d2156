package xds

import (
	"slices"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/gatewright/gatewright/config"
)

// credentialFilters take the token out of requests that were let pass inside Envoy, behind
// the judge, who needs it, and in front of all that reads headers for the backend. Off but
// for routes that say so.
func (b builder) credentialFilters(l *config.Listener) []*hcmv3.HttpFilter {
	if !b.places(l) || !slices.ContainsFunc(b.policies.Placed, (*PlacedPolicy).takesTokenAway) {
		return nil
	}
	f := httpFilter(credentialFilter, &headermutationv3.HeaderMutation{Mutations: &headermutationv3.Mutations{
		RequestMutations: []*mutationv3.HeaderMutation{without("authorization")},
	}})
	f.Disabled = true
	return []*hcmv3.HttpFilter{f}
}
