package ratelimit

import (
	"math"
	"slices"
	"strconv"
	"strings"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/config"
)

// limitEntry is the key of a descriptor's first entry; its value names a limit.
const limitEntry = "limit"

// planEntry is the key of an entry that says what the limit is for the caller, as
// config.Allowance writes it. No part of a limit's key is called so.
const planEntry = "plan"

// costEntry is the key of an entry that says what the request takes of a limit
// whose cost is each request's own. No part of a limit's key is called so either.
const costEntry = "cost"

// charge is what a descriptor asks for: its first entry is limit=NAME, the
// others are parts of that limit's key, in any order, and perhaps the caller's
// plan and the request's cost. A part without an entry is empty, the same bucket as
// an entry with an empty value. hits is the cost of a descriptor that says none, 0
// for the limit's usual one.
//
// The values of its key are appended to room, and are part of that.
//
// Errors are gRPC statuses. What cannot be counted is never taken as allowed.
func charge(d *commonv3.RateLimitDescriptor, hits uint32, limits Limits, room *[]string) (Charge, error) {
	entries := d.GetEntries()
	if len(entries) == 0 || entries[0].GetKey() != limitEntry {
		return Charge{}, status.Errorf(codes.InvalidArgument, "the first entry must be %s=NAME", limitEntry)
	}
	name := entries[0].GetValue()
	limit := limits(name)
	if limit == nil {
		return Charge{}, status.Errorf(codes.NotFound, "no limit is named %q", clipped(name))
	}
	if limit.Concurrency != nil {
		return Charge{}, status.Errorf(codes.InvalidArgument, "limit %q counts requests in flight, and nobody would tell of their end: it is for Check alone", limit.Name)
	}
	allowance, parts, err := allowanceOf(limit, entries[1:])
	if err != nil {
		return Charge{}, err
	}
	usual, parts, err := costOf(limit, parts)
	if err != nil {
		return Charge{}, err
	}
	key, err := keyValues(limit, parts, room)
	if err != nil {
		return Charge{}, err
	}
	cost, err := descriptorCost(d, hits)
	if err != nil {
		return Charge{}, err
	}
	if cost == 0 {
		cost = usual
	}
	return Charge{Limit: limit, Key: key, Allowance: allowance, Cost: cost}, nil
}

// allowanceOf is what the entries say of the caller's plan, and the other entries.
func allowanceOf(limit *config.Limit, entries []*commonv3.RateLimitDescriptor_Entry) (a config.Allowance, others []*commonv3.RateLimitDescriptor_Entry, err error) {
	at := slices.IndexFunc(entries, func(e *commonv3.RateLimitDescriptor_Entry) bool { return e.GetKey() == planEntry })
	if at < 0 {
		return config.Allowance{}, entries, nil
	}
	if !limit.CountsCustomers() {
		return a, nil, status.Errorf(codes.InvalidArgument, "limit %q has no plans: its key, %s, tells no customers apart", limit.Name, joined(limit.Key))
	}
	a, err = config.ParseAllowance(entries[at].GetValue())
	if err != nil {
		return a, nil, status.Errorf(codes.InvalidArgument, "limit %q: plan %q: %s", limit.Name, clipped(entries[at].GetValue()), err)
	}
	return a, slices.Concat(entries[:at], entries[at+1:]), nil
}

// costOf is what the entries say of the request's cost, or else the limit's usual
// one, and the other entries.
func costOf(limit *config.Limit, entries []*commonv3.RateLimitDescriptor_Entry) (cost int64, others []*commonv3.RateLimitDescriptor_Entry, err error) {
	at := slices.IndexFunc(entries, func(e *commonv3.RateLimitDescriptor_Entry) bool { return e.GetKey() == costEntry })
	if at < 0 {
		return limit.Cost.Usual(), entries, nil
	}
	if !limit.Cost.Varies() {
		return 0, nil, status.Errorf(codes.InvalidArgument, "limit %q costs each request the same: %d", limit.Name, limit.Cost.Usual())
	}
	text := entries[at].GetValue()
	cost, err = strconv.ParseInt(text, 10, 64)
	if err != nil || cost < 0 {
		return 0, nil, status.Errorf(codes.InvalidArgument, "limit %q: cost %q, must be a whole number of at least 0", limit.Name, clipped(text))
	}
	if cost == 0 {
		cost = NoCost
	}
	return min(cost, limit.Cost.Most()), slices.Concat(entries[:at], entries[at+1:]), nil
}

// keyValues is the values of the limit's key, in its order, appended to room.
func keyValues(limit *config.Limit, entries []*commonv3.RateLimitDescriptor_Entry, room *[]string) ([]string, error) {
	begin := len(*room)
	for range limit.Key {
		*room = append(*room, "")
	}
	values := slices.Clip((*room)[begin:])
	for i, e := range entries {
		part := config.KeyPart(e.GetKey())
		at := slices.Index(limit.Key, part)
		if at < 0 {
			return nil, status.Errorf(codes.InvalidArgument, "limit %q has no key part %q, only %s",
				limit.Name, clipped(e.GetKey()), joined(limit.Key))
		}
		// There are no more entries before this one than the key has parts.
		if slices.ContainsFunc(entries[:i], func(before *commonv3.RateLimitDescriptor_Entry) bool { return before.GetKey() == e.GetKey() }) {
			return nil, status.Errorf(codes.InvalidArgument, "limit %q: two entries for key part %q", limit.Name, part)
		}
		values[at] = e.GetValue()
		if part == config.KeyClientIP {
			values[at] = ClientIPKey(values[at], limit.ClientPrefix())
		}
	}
	return values, nil
}

// descriptorCost is the cost of a descriptor as a Charge says it. An own
// hits_addend of 0 looks and takes nothing.
func descriptorCost(d *commonv3.RateLimitDescriptor, hits uint32) (int64, error) {
	switch own := d.GetHitsAddend(); {
	case d.GetLimit() != nil:
		return 0, status.Error(codes.InvalidArgument, "limit overrides are not supported: the limits are in Gatewright's config")
	case d.GetIsNegativeHits():
		return 0, status.Error(codes.InvalidArgument, "negative hits are not supported: tokens are not given back")
	case own == nil:
		return int64(hits), nil
	case own.GetValue() == 0:
		return NoCost, nil
	default:
		return int64(min(own.GetValue(), math.MaxInt64)), nil
	}
}

// clipped is text short enough to repeat in an error.
func clipped(text string) string {
	const longest = 64
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}

func joined(parts []config.KeyPart) string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}
