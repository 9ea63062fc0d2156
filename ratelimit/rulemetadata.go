package ratelimit

import (
	"strconv"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// dynamicMetadata is what was asked, and the metadata of the rules that passed:
//
//	domain: the request's
//	descriptors: a list of {entries: ["key=value", …], limit: "…", hitsAddend: n}
//	hitsAddend: the request's, unless it is 0
//	metadata: those of the rules put together, the first rule's before the others'
func dynamicMetadata(r *rlsv3.RateLimitRequest, questions []question, statuses []*rlsv3.RateLimitResponse_DescriptorStatus) *structpb.Struct {
	descriptors := make([]*structpb.Value, len(r.GetDescriptors()))
	for i, d := range r.GetDescriptors() {
		descriptors[i] = structpb.NewStructValue(descriptorMetadata(d))
	}
	out := &structpb.Struct{Fields: map[string]*structpb.Value{
		"domain":      structpb.NewStringValue(valid(r.GetDomain())),
		"descriptors": structpb.NewListValue(&structpb.ListValue{Values: descriptors}),
	}}
	if n := r.GetHitsAddend(); n != 0 {
		out.Fields["hitsAddend"] = structpb.NewNumberValue(float64(n))
	}
	said := map[string]any{}
	for i, q := range questions {
		if q.rule != nil && !q.rule.Unlimited && statuses[i].GetCode() == rlsv3.RateLimitResponse_OK {
			putTogether(said, q.rule.Metadata)
		}
	}
	if len(said) == 0 {
		return out
	}
	// What a file may say, a Struct can: limitfiles has seen to it.
	if all, err := structpb.NewStruct(said); err == nil {
		out.Fields["metadata"] = structpb.NewStructValue(all)
	}
	return out
}

func descriptorMetadata(d *commonv3.RateLimitDescriptor) *structpb.Struct {
	entries := make([]*structpb.Value, len(d.GetEntries()))
	for i, e := range d.GetEntries() {
		entries[i] = structpb.NewStringValue(valid(e.GetKey() + "=" + e.GetValue()))
	}
	out := &structpb.Struct{Fields: map[string]*structpb.Value{
		"entries": structpb.NewListValue(&structpb.ListValue{Values: entries}),
	}}
	if l := d.GetLimit(); l != nil {
		out.Fields["limit"] = structpb.NewStringValue(overrideText(l))
	}
	if own := d.GetHitsAddend(); own != nil {
		out.Fields["hitsAddend"] = structpb.NewNumberValue(float64(own.GetValue()))
	}
	return out
}

// overrideText is a limit as protobuf's text format has it, in which a 0 is left out.
func overrideText(l *commonv3.RateLimitDescriptor_RateLimitOverride) string {
	text := "unit:" + l.GetUnit().String()
	if n := l.GetRequestsPerUnit(); n != 0 {
		text = "requests_per_unit:" + strconv.FormatUint(uint64(n), 10) + " " + text
	}
	return text
}

// putTogether adds to one mapping what another has and it has not, mappings within
// them alike.
func putTogether(to, from map[string]any) {
	for key, value := range from {
		inner, isMapping := value.(map[string]any)
		there, twice := to[key]
		switch {
		case !twice && isMapping:
			own := map[string]any{}
			putTogether(own, inner)
			to[key] = own
		case !twice:
			to[key] = value
		case isMapping:
			if own, ok := there.(map[string]any); ok {
				putTogether(own, inner)
			}
		}
	}
}
