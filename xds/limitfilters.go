package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimitcommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	localratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// A limit that runs inside Envoy is a filter of its own, which is off but for routes that
// say so. One filter for all limits would forget what it has counted for each whenever
// one of them changes, and would tell of the wrong one.
//
// Its config is served beside the listener, so that a changed limit closes no connection.
// Until it has come, a listener that is new waits for it: what is to be limited never
// passes uncounted.

// limitFilterPrefix begins the name of such a filter, and of its config.
const limitFilterPrefix = "gatewright.limit."

// countedFilterPrefix begins the name of the filter that tells of it.
const countedFilterPrefix = "gatewright.counted."

// limitFilter and countedFilter are their names. They are others where the dynamic module
// tells of limits: a listener and its routes, which come one after the other, have either
// both filters on or none.
func limitFilter(l *config.Limit, module string) string {
	return limitFilterPrefix + ofModule(module) + l.Name
}

func countedFilter(l *config.Limit, module string) string {
	return countedFilterPrefix + ofModule(module) + l.Name
}

// placedLimits are the limits of policies, each once, in the order of their names.
func placedLimits(policies []*PlacedPolicy) []*config.Limit {
	byName := map[string]*config.Limit{}
	for _, p := range policies {
		if p.Limit != nil {
			byName[p.Limit.Name] = p.Limit
		}
	}
	var out []*config.Limit
	for _, name := range sortedKeys(byName) {
		out = append(out, byName[name])
	}
	return out
}

// placeFilterOf is the name of the filter that lets requests pass. It says which limits
// the listener has filters for: a request that is to be counted by another is not let
// pass there, since no route names that filter any more.
func placeFilterOf(policies []*PlacedPolicy) string {
	limits := placedLimits(policies)
	if len(limits) == 0 {
		return placeFilter
	}
	h := sha256.New()
	for _, l := range limits {
		fmt.Fprintln(h, ofModule(limitModule(policies))+l.Name)
	}
	return placeFilter + "." + hex.EncodeToString(h.Sum(nil)[:4])
}

// countedFilters are those in front of the judge, and limitFilters those behind.
func (b builder) countedFilters(l *config.Listener) []*hcmv3.HttpFilter {
	return b.filtersOfLimits(l, countedFilter, b.kindOfCounted())
}

func (b builder) limitFilters(l *config.Listener) []*hcmv3.HttpFilter {
	return b.filtersOfLimits(l, limitFilter, &localratelimitv3.LocalRateLimit{})
}

func (b builder) filtersOfLimits(l *config.Listener, name func(l *config.Limit, module string) string, kind proto.Message) (out []*hcmv3.HttpFilter) {
	if !b.places(l) {
		return nil
	}
	for _, limit := range placedLimits(b.policies.Placed) {
		out = append(out, awaited(name(limit, b.limitModule()), kind))
	}
	return out
}

// awaited is a filter whose config is served beside the listener, and that answers by
// itself, with a 500, where it has none.
func awaited(name string, kind proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{
		Name:     name,
		Disabled: true,
		ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: &corev3.ExtensionConfigSource{
			ConfigSource: adsSource(),
			TypeUrls:     []string{mustAny(kind).GetTypeUrl()},
		}},
	}
}

// putLimits serves the config of the filters of limits. What they count by stands in no
// plan's state.
func (b builder) putLimits(s *set) {
	for _, l := range placedLimits(b.policies.Placed) {
		putFilter(s, countedFilter(l, b.limitModule()), b.countedFilter(l))
		putFilter(s, limitFilter(l, b.limitModule()), b.localRateLimit(l))
	}
}

// underLimit has a route's requests counted inside Envoy.
func underLimit(route *routev3.Route, p *PlacedPolicy) {
	if p.Limit == nil {
		return
	}
	putMetadata(route, metadataLimit, p.Limit.Name)
	route.TypedPerFilterConfig[countedFilter(p.Limit, p.LimitModule)] = switchedOn
	route.TypedPerFilterConfig[limitFilter(p.Limit, p.LimitModule)] = switchedOn
	if slices.Contains(p.Limit.Key, config.KeyRoute) {
		putMetadata(route, metadataRouteName, route.Name)
	}
}

// limitedDetails is what Envoy says of a request that such a filter has denied. (The flag
// RL comes too late for the answer.)
const limitedDetails = "local_rate_limited"

// asCheckSays gives such a request Check's own answer, to the byte.
func asCheckSays(limited *hcmv3.ResponseMapper) {
	limited.BodyFormatOverride.Format = &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
		Specifier: &corev3.DataSource_InlineString{
			InlineString: `{"type":"urn:gatewright:problem:rate-limited","title":"Too Many Requests","status":429,"reason":"rate-limited","detail":"The rate limit is used up."}`,
		},
	}}
}

// mostDynamicBuckets is how many values of a key have a bucket at a time, in each rule of
// the filter. Of those that are asked for least recently is forgotten what they have
// taken: who would profit by that needs as many other values meanwhile. A bucket is some
// 600 bytes, and is made when its value comes.
const mostDynamicBuckets = 65_536

// limitEntry is the descriptor entry of a limit in Envoy, beside those of config.KeyPart.
const limitEntry = "limit"

// localRateLimit is Envoy's bucket for each value of the limit's key. Of it an Envoy has
// the share that is its own by the number of Envoys: a request takes as many tokens there
// as there are Envoys, of a bucket of the whole size that fills at the whole rate, which
// is the same.
func (b builder) localRateLimit(l *config.Limit) *localratelimitv3.LocalRateLimit {
	bucket := tokenBucket(l.TokenBucket)
	out := &localratelimitv3.LocalRateLimit{
		StatPrefix:     limitFilterPrefix + l.Name,
		FilterEnabled:  allRequests(),
		FilterEnforced: allRequests(),
		// What none of the descriptors fits, which is nothing, counts together.
		TokenBucket:                     bucket,
		AlwaysConsumeDefaultTokenBucket: wrapperspb.Bool(false),
		MaxDynamicDescriptors:           wrapperspb.UInt32(mostDynamicBuckets),
		LocalClusterRateLimit:           &ratelimitcommonv3.LocalClusterRateLimit{},
		RateLimitedAsResourceExhausted:  true,
		EnableRetryAfterHeader:          true,
		ResponseHeadersToAdd:            []*corev3.HeaderValueOption{setHeader("cache-control", "no-store")},
		RateLimits:                      b.limitActions(l),
	}
	if b.config.RateLimitHeaders != config.HeadersNone || l.Cost.Usual() != 1 {
		out.EnableXRatelimitHeaders = ratelimitcommonv3.XRateLimitHeadersRFCVersion_DRAFT_VERSION_03
	}
	for _, entries := range b.limitEntries(l) {
		out.Descriptors = append(out.Descriptors, &ratelimitcommonv3.LocalRateLimitDescriptor{Entries: entries, TokenBucket: bucket})
	}
	return out
}

func tokenBucket(t *config.TokenBucket) *typev3.TokenBucket {
	return &typev3.TokenBucket{
		MaxTokens:     uint32(t.Capacity),
		TokensPerFill: wrapperspb.UInt32(uint32(t.Refill.Events)),
		FillInterval:  durationpb.New(t.Refill.Per),
	}
}

func allRequests() *corev3.RuntimeFractionalPercent {
	return &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: 100}}
}

// limitActions are what of a request the limit counts by, and how much it takes.
func (b builder) limitActions(l *config.Limit) []*routev3.RateLimit {
	var out []*routev3.RateLimit
	for _, client := range b.clientKeys(l) {
		rule := &routev3.RateLimit{Actions: []*routev3.RateLimit_Action{{
			ActionSpecifier: &routev3.RateLimit_Action_GenericKey_{GenericKey: &routev3.RateLimit_Action_GenericKey{
				DescriptorKey: limitEntry, DescriptorValue: l.Name,
			}},
		}}}
		for _, part := range l.Key {
			if part == config.KeyClientIP {
				rule.Actions = append(rule.Actions, client.actions...)
			} else {
				rule.Actions = append(rule.Actions, keyAction(part))
			}
		}
		if cost := l.Cost.Usual(); cost != 1 {
			rule.HitsAddend = &routev3.RateLimit_HitsAddend{Number: wrapperspb.UInt64(uint64(cost))}
		}
		out = append(out, rule)
	}
	return out
}

// keyAction is the value of a part other than the client's address. One that is missing is
// left out, and the descriptor is that of requests without it.
func keyAction(part config.KeyPart) *routev3.RateLimit_Action {
	if part == config.KeyRoute {
		return &routev3.RateLimit_Action{ActionSpecifier: &routev3.RateLimit_Action_Metadata{Metadata: &routev3.RateLimit_Action_MetaData{
			DescriptorKey: string(part),
			MetadataKey:   metadataKey(routeMetadata, metadataRouteName),
			Source:        routev3.RateLimit_Action_MetaData_ROUTE_ENTRY,
		}}}
	}
	return headerKey(string(part), part.CountedHeader())
}

// headerKey is an entry with the value of a header, where a request has it.
func headerKey(entry, name string) *routev3.RateLimit_Action {
	return &routev3.RateLimit_Action{ActionSpecifier: &routev3.RateLimit_Action_RequestHeaders_{
		RequestHeaders: &routev3.RateLimit_Action_RequestHeaders{HeaderName: name, DescriptorKey: entry, SkipIfAbsent: true},
	}}
}

// metadataLimit is the key of the limit that a route's requests are charged to inside
// Envoy, for logs.
const metadataLimit = "limit"

// metadataRouteName is the key of a route's name in its metadata, for limits that count
// by it.
const metadataRouteName = "route"

// limitEntries are the descriptors that the limit's actions can give: one for each set of
// the parts that a request may lack. An entry without a value stands for each value.
func (b builder) limitEntries(l *config.Limit) (all [][]*ratelimitcommonv3.RateLimitDescriptor_Entry) {
	for _, client := range b.clientKeys(l) {
		all = append(all, limitEntriesOf(l, client)...)
	}
	return all
}

// limitEntriesOf are those in which clients have this form.
func limitEntriesOf(l *config.Limit, client clientKey) [][]*ratelimitcommonv3.RateLimitDescriptor_Entry {
	all := [][]*ratelimitcommonv3.RateLimitDescriptor_Entry{{{Key: limitEntry, Value: l.Name}}}
	for _, part := range l.Key {
		entries := []*ratelimitcommonv3.RateLimitDescriptor_Entry{{Key: string(part)}}
		if part == config.KeyClientIP {
			entries = client.entries
		}
		var without [][]*ratelimitcommonv3.RateLimitDescriptor_Entry
		if part.CountedHeader() != "" {
			without = append(without, all...)
		}
		for i := range all {
			all[i] = slices.Concat(all[i], entries)
		}
		all = append(without, all...)
	}
	return all
}

// countedFilter tells Check, in front of which it stands, that the request will be counted
// behind it: the header is there only where both the listener and the route have the
// filters, whichever of the two has come first. And it puts what the bucket says, on the
// way back, into the words of the config. See limitmodule.go for the module's.
func (b builder) countedFilter(l *config.Limit) validatable {
	if module := b.limitModule(); module != "" {
		return b.countedByModule(l, module)
	}
	return &headermutationv3.HeaderMutation{Mutations: &headermutationv3.Mutations{
		RequestMutations:  append(b.clientHeader(l), putHeader(config.CountedHeader, l.Name)),
		ResponseMutations: b.limitHeaders(l),
	}}
}

// The headers in which Envoy's bucket says how it stands.
const (
	limitLeft  = "x-ratelimit-remaining"
	limitWhole = "x-ratelimit-limit"
	limitReset = "x-ratelimit-reset"
)

// limitHeaders are the headers that tell of a limit. Envoy's reset is when there is a
// token again, and 0 while there is one; ours is when the bucket is full. And so is its
// Retry-After, where a request may need more than one.
func (b builder) limitHeaders(l *config.Limit) (out []*mutationv3.HeaderMutation) {
	const limit, remaining, reset = limitWhole, limitLeft, limitReset
	words, cost := b.config.RateLimitHeaders, l.Cost.Usual()
	if cost != 1 {
		limited := "response.code_details == '" + limitedDetails + "' ? " + untilThere(l.TokenBucket, fmt.Sprint(cost)) + " : ''"
		out = append(out, putHeader("retry-after", "%CEL("+limited+")%"))
	}
	if words == config.HeadersNone {
		if cost != 1 {
			out = append(out, without(limit), without(remaining), without(reset))
		}
		return out
	}
	full := "%CEL(" + untilThere(l.TokenBucket, inHeader(limit)) + ")%"
	if words.IETF() {
		out = append(out, putHeader("ratelimit-limit", "%RESP("+limit+")%"), putHeader("ratelimit-remaining", "%RESP("+remaining+")%"), putHeader("ratelimit-reset", full))
	}
	if words.X() {
		return append(out, putHeader(reset, full))
	}
	return append(out, without(limit), without(remaining), without(reset))
}

// untilThere is an expression for the whole seconds until so many tokens, an expression
// itself, are in a bucket, rounded up, of what a header says that are left.
func untilThere(t *config.TokenBucket, tokens string) string {
	perToken, unit := t.Refill.Per.Milliseconds(), 1000*t.Refill.Events
	return fmt.Sprintf("((%s - %s) * %d + %d) / %d", tokens, inHeader(limitLeft), perToken, unit-1, unit)
}

// inHeader is an expression for the number that a header of the answer says.
func inHeader(name string) string { return "int(response.headers['" + name + "'])" }

// putHeader is a header in place of what there is.
func putHeader(name, value string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{Append: setHeader(name, value)}}
}
