package authz

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatewright/gatewright/config"
)

// reply is the only place where a verdict becomes a message. Envoy allows on
// status OK and on an absent status alike, whatever else the message says, so
// the status is set here for every verdict, and OK in one branch.
func reply(v Verdict) *authv3.CheckResponse {
	if v.Reason == ReasonAllowed {
		return &authv3.CheckResponse{
			Status:          &statuspb.Status{Code: int32(codes.OK)},
			HttpResponse:    &authv3.CheckResponse_OkResponse{OkResponse: okResponse(v)},
			DynamicMetadata: metadata(v, ReasonAllowed),
		}
	}
	reason, p := problemOf(v.Reason)
	denied := deniedResponse(v, reason, p)
	if v.respond != nil {
		denied = respondedInstead(v)
	}
	return &authv3.CheckResponse{
		Status:          &statuspb.Status{Code: int32(grpcCode(p.status)), Message: string(reason)},
		HttpResponse:    &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
		DynamicMetadata: metadata(v, reason),
	}
}

func okResponse(v Verdict) *authv3.OkHttpResponse {
	return &authv3.OkHttpResponse{
		Headers:                 options(v.headers),
		HeadersToRemove:         v.removeHeaders,
		QueryParametersToRemove: v.removeQuery,
		ResponseHeadersToAdd:    options(limitHeaders(v)),
	}
}

func deniedResponse(v Verdict, reason Reason, p problem) *authv3.DeniedHttpResponse {
	body, contentType := denialBody(v, reason, p)
	return &authv3.DeniedHttpResponse{
		Status:  &typev3.HttpStatus{Code: typev3.StatusCode(p.status)},
		Headers: options(deniedHeaders(v, reason, p, contentType)),
		Body:    body,
	}
}

// respondedInstead is the answer that the config has in place of the denial. With
// an error it tells when to come again, unless the config does.
func respondedInstead(v Verdict) *authv3.DeniedHttpResponse {
	r := v.respond
	var all []header
	said := false
	for _, name := range sortedKeys(r.Headers) {
		all = append(all, header{name, r.Headers[name]})
		said = said || strings.EqualFold(name, "retry-after")
	}
	if r.Status >= 500 && !said {
		all = append(all, retryAfter(v.Admission.RetryAfter))
	}
	return &authv3.DeniedHttpResponse{
		Status:  &typev3.HttpStatus{Code: typev3.StatusCode(r.Status)},
		Headers: options(all),
		Body:    r.Body,
	}
}

// retryAfter tells a client when to come again: in a second at least.
func retryAfter(d time.Duration) header {
	return header{"retry-after", strconv.FormatInt(max(1, wholeSeconds(d)), 10)}
}

func deniedHeaders(v Verdict, reason Reason, p problem, contentType string) []header {
	all := []header{
		{"content-type", contentType},
		{"cache-control", "no-store"},
	}
	if v.Challenge != "" && (p.status == 401 || p.status == 403) {
		all = append(all, header{"www-authenticate", v.Challenge})
	}
	if reason == ReasonMethodRefused {
		all = append(all, header{"allow", strings.Join(config.Methods(), ", ")})
	}
	if v.call && p.status == 429 {
		// Envoy makes UNAVAILABLE of it, which clients of gRPC try again at once.
		all = append(all, header{"grpc-status", strconv.Itoa(int(codes.ResourceExhausted))})
	}
	if after := v.Limits.RetryAfter; reason == ReasonRateLimited && after >= 0 || after > 0 {
		all = append(all, retryAfter(after))
	}
	if reason == ReasonCircuitOpen {
		all = append(all, retryAfter(v.Admission.RetryAfter))
	}
	return append(all, limitHeaders(v)...)
}

// limitHeaders tell the client of its tightest limit, by the names that the
// config has chosen.
func limitHeaders(v Verdict) []header {
	r := v.Limits
	if r.Limit == "" {
		return nil
	}
	limit := strconv.FormatInt(r.Capacity, 10)
	remaining := strconv.FormatInt(max(0, r.Remaining), 10)
	reset := strconv.FormatInt(wholeSeconds(r.ResetAfter), 10)
	all := make([]header, 0, 6)
	if v.limitHeaders.IETF() {
		all = append(all, header{"ratelimit-limit", limit}, header{"ratelimit-remaining", remaining}, header{"ratelimit-reset", reset})
	}
	if v.limitHeaders.X() {
		all = append(all, header{"x-ratelimit-limit", limit}, header{"x-ratelimit-remaining", remaining}, header{"x-ratelimit-reset", reset})
	}
	return all
}

// wholeSeconds rounds up: who comes back after that many seconds is not early.
func wholeSeconds(d time.Duration) int64 {
	return int64(math.Ceil(max(0, d.Seconds())))
}

// problemDocument is the body of a denial (RFC 9457).
type problemDocument struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`
}

func problemBody(v Verdict, reason Reason, p problem) string {
	document := problemDocument{
		Type:   "urn:gatewright:problem:" + string(reason),
		Title:  p.title,
		Status: p.status,
		Reason: reason,
		Detail: detailOf(v, p),
	}
	body, _ := json.Marshal(document) // strings and a number always have an encoding
	return string(body)
}

// options are headers that replace what is there.
func options(headers []header) []*corev3.HeaderValueOption {
	all := make([]*corev3.HeaderValueOption, len(headers))
	for i, h := range headers {
		all[i] = &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: h.name, Value: validText(h.value)},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}
	}
	return all
}

// grpcCode is the code that goes with an HTTP status in CheckResponse.status.
// Envoy distinguishes only OK from the rest; for logs it should still be true.
func grpcCode(status int) codes.Code {
	switch status {
	case 400:
		return codes.InvalidArgument
	case 401:
		return codes.Unauthenticated
	case 403:
		return codes.PermissionDenied
	case 404:
		return codes.NotFound
	case 405:
		return codes.Unimplemented
	case 413, 429:
		return codes.ResourceExhausted
	case 503:
		return codes.Unavailable
	default:
		return codes.Internal
	}
}

// metadata is what the access log and later filters can read of the verdict,
// under envoy.filters.http.ext_authz.
func metadata(v Verdict, reason Reason) *structpb.Struct { return structOf(metadataOf(nil, v, reason)) }

// datum is one field of the metadata: a text, a number, or further fields.
type datum struct {
	name, text string
	number     float64
	isNumber   bool
	within     []datum
}

// metadataOf appends the fields of the metadata. By in_flight the access log stream
// releases a request that has ended, by probe it tells a breaker how, and by broken a
// rollout whose breaker was open, and by charged it is counted what has become of an allowed
// request that a limit inside Envoy was charged for (package outcome); no line of a log has
// them.
func metadataOf(fields []datum, v Verdict, reason Reason) []datum {
	if !v.stranger || reason != ReasonAllowed { // else the reason is its Envoy's
		fields = append(fields, datum{name: "reason", text: string(reason)})
	}
	fields = appendDatum(fields, "user", v.Identity.User)
	fields = appendDatum(fields, "tenant", v.Identity.Tenant)
	fields = appendDatum(fields, "key_id", v.Identity.KeyID)
	fields = appendDatum(fields, "provider", v.Identity.Provider)
	fields = appendDatum(fields, "plan", shownPlan(v.plan))
	fields = appendDatum(fields, "policy", v.Policy)
	fields = appendDatum(fields, "route", v.Route)
	fields = appendDatum(fields, "backend", v.Backend)
	fields = appendDatum(fields, "probe", v.Admission.Probe)
	if v.countedAtItsEnd() {
		fields = append(fields, datum{name: "charged", text: v.charged})
	}
	if reason == ReasonCircuitOpen || reason == ReasonAllowed { // else it was denied for something else
		fields = appendDatum(fields, "broken", v.Broken)
	}
	fields = appendDatum(fields, "shadow", string(v.inShadow()))
	fields = appendDatum(fields, "breaker", v.breakerState())
	fields = appendDatum(fields, "config", v.version)
	if v.Limits.Limit != "" {
		fields = appendDatum(fields, "limit", v.Limits.Limit)
		fields = append(fields, datum{name: "remaining", number: float64(max(0, v.Limits.Remaining)), isNumber: true})
	}
	if len(v.Limits.Handles) > 0 {
		fields = append(fields, datum{name: "in_flight", text: strings.Join(v.Limits.Handles, " ")})
	}
	if len(v.told) > 0 {
		fields = append(fields, datum{name: "told", within: v.told})
	}
	if reason == ReasonAllowed && len(v.certificate) > 0 {
		fields = append(fields, datum{name: "certificate", within: v.certificate})
	}
	if reason == ReasonAllowed {
		fields = appendDatum(fields, "remember", v.remember)
	}
	if v.LimitKeys != nil {
		fields = append(fields, datum{name: "limit_keys", within: texts(v.LimitKeys)})
	}
	if v.LimitPlans != nil {
		fields = append(fields, datum{name: "limit_plans", within: texts(v.LimitPlans)})
	}
	if v.LimitCosts != nil {
		fields = append(fields, datum{name: "limit_costs", within: texts(v.LimitCosts)})
	}
	return fields
}

// texts are fields of text, also where that is empty.
func texts(named map[string]string) []datum {
	all := make([]datum, 0, len(named))
	for name, text := range named {
		all = append(all, datum{name: validText(name), text: validText(text)})
	}
	return all
}

// appendDatum appends a text, unless it is empty.
func appendDatum(fields []datum, name, text string) []datum {
	if text == "" {
		return fields
	}
	return append(fields, datum{name: name, text: validText(text)})
}

func structOf(fields []datum) *structpb.Struct {
	all := make(map[string]*structpb.Value, len(fields))
	for _, f := range fields {
		switch {
		case f.isNumber:
			all[f.name] = structpb.NewNumberValue(f.number)
		case f.within != nil:
			all[f.name] = structpb.NewStructValue(structOf(f.within))
		default:
			all[f.name] = structpb.NewStringValue(f.text)
		}
	}
	return &structpb.Struct{Fields: all}
}
