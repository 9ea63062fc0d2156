package xds

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"

	"github.com/gatewright/gatewright/config"
)

// limitDescriptor is the key of the descriptor entry that names the limit.
const limitDescriptor = "limit"

// planDescriptor is the key of the descriptor entry that says what the limit is
// for the caller.
const planDescriptor = "plan"

// costDescriptor is the key of the descriptor entry that says what the request
// takes of a limit. It is not the descriptor's hits_addend: a descriptor whose
// hits_addend Envoy cannot find is left out, and the request passes uncounted.
const costDescriptor = "cost"

// rateLimitActions are the descriptors of a route's limits, one for each, for
// Envoy's ratelimit filter: limit=NAME, and then the parts of its key with the
// values that Check wrote into its metadata. Taking them from there, and not
// from the request, gives both doors one and the same bucket. A part without a
// value is left out, which the service counts as empty. So is what the limit is
// for a caller for whom it is what it is for everybody.
func (b builder) rateLimitActions(r *config.Route) []*routev3.RateLimit {
	var out []*routev3.RateLimit
	for _, name := range r.Limits {
		actions := []*routev3.RateLimit_Action{{
			ActionSpecifier: &routev3.RateLimit_Action_GenericKey_{GenericKey: &routev3.RateLimit_Action_GenericKey{
				DescriptorKey:   limitDescriptor,
				DescriptorValue: name,
			}},
		}}
		limit := b.config.Limits[name]
		for _, part := range limit.Key {
			actions = append(actions, verdictAction(string(part), "limit_keys", string(part)))
		}
		if limit.CountsCustomers() { // nobody else's size by whose they are
			actions = append(actions, verdictAction(planDescriptor, "limit_plans", name))
		}
		if limit.Cost.Varies() {
			actions = append(actions, verdictAction(costDescriptor, "limit_costs", name))
		}
		out = append(out, &routev3.RateLimit{Actions: actions})
	}
	return out
}

// verdictAction is an entry with what Check wrote at a place of its metadata.
func verdictAction(entry string, path ...string) *routev3.RateLimit_Action {
	return &routev3.RateLimit_Action{
		ActionSpecifier: &routev3.RateLimit_Action_Metadata{Metadata: &routev3.RateLimit_Action_MetaData{
			DescriptorKey: entry,
			MetadataKey:   metadataKey(extAuthzFilter, path...),
			Source:        routev3.RateLimit_Action_MetaData_DYNAMIC,
			SkipIfAbsent:  true,
		}},
	}
}

func metadataKey(namespace string, path ...string) *metadatav3.MetadataKey {
	key := &metadatav3.MetadataKey{Key: namespace}
	for _, p := range path {
		key.Path = append(key.Path, &metadatav3.MetadataKey_PathSegment{
			Segment: &metadatav3.MetadataKey_PathSegment_Key{Key: p},
		})
	}
	return key
}
