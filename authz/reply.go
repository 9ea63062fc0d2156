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
	return &authv3.CheckResponse{
		Status:          &statuspb.Status{Code: int32(grpcCode(p.status)), Message: string(reason)},
		HttpResponse:    &authv3.CheckResponse_DeniedResponse{DeniedResponse: deniedResponse(v, reason, p)},
		DynamicMetadata: metadata(v, reason),
	}
}

func okResponse(v Verdict) *authv3.OkHttpResponse {
	return &authv3.OkHttpResponse{
		Headers:                 options(v.headers),
		HeadersToRemove:         v.removeHeaders,
		QueryParametersToRemove: v.removeQuery,
		ResponseHeadersToAdd:    options(limitHeaders(v.Limits)),
	}
}

func deniedResponse(v Verdict, reason Reason, p problem) *authv3.DeniedHttpResponse {
	return &authv3.DeniedHttpResponse{
		Status:  &typev3.HttpStatus{Code: typev3.StatusCode(p.status)},
		Headers: options(deniedHeaders(v, reason, p)),
		Body:    problemBody(v, reason, p),
	}
}

func deniedHeaders(v Verdict, reason Reason, p problem) []header {
	all := []header{
		{"content-type", "application/problem+json"},
		{"cache-control", "no-store"},
	}
	if v.Challenge != "" && (p.status == 401 || p.status == 403) {
		all = append(all, header{"www-authenticate", v.Challenge})
	}
	if reason == ReasonMethodRefused {
		all = append(all, header{"allow", strings.Join(config.Methods(), ", ")})
	}
	if reason == ReasonRateLimited || v.Limits.RetryAfter > 0 {
		all = append(all, header{"retry-after", strconv.FormatInt(max(1, wholeSeconds(v.Limits.RetryAfter)), 10)})
	}
	return append(all, limitHeaders(v.Limits)...)
}

// limitHeaders tell the client of its tightest limit
// (draft-ietf-httpapi-ratelimit-headers-07, the separate fields).
func limitHeaders(r LimitResult) []header {
	if r.Limit == "" {
		return nil
	}
	return []header{
		{"ratelimit-limit", strconv.FormatInt(r.Capacity, 10)},
		{"ratelimit-remaining", strconv.FormatInt(max(0, r.Remaining), 10)},
		{"ratelimit-reset", strconv.FormatInt(wholeSeconds(r.ResetAfter), 10)},
	}
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
		Detail: p.detail,
	}
	if v.Detail != "" {
		document.Detail = v.Detail
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
	case 429:
		return codes.ResourceExhausted
	case 503:
		return codes.Unavailable
	default:
		return codes.Internal
	}
}

// metadata is what the access log and later filters can read of the verdict,
// under envoy.filters.http.ext_authz.
func metadata(v Verdict, reason Reason) *structpb.Struct {
	fields := map[string]*structpb.Value{"reason": structpb.NewStringValue(string(reason))}
	setText(fields, "user", v.Identity.User)
	setText(fields, "tenant", v.Identity.Tenant)
	setText(fields, "key_id", v.Identity.KeyID)
	setText(fields, "provider", v.Identity.Provider)
	setText(fields, "policy", v.Policy)
	setText(fields, "route", v.Route)
	if v.Limits.Limit != "" {
		setText(fields, "limit", v.Limits.Limit)
		fields["remaining"] = structpb.NewNumberValue(float64(max(0, v.Limits.Remaining)))
	}
	if v.LimitKeys != nil {
		keys := make(map[string]*structpb.Value, len(v.LimitKeys))
		for part, value := range v.LimitKeys {
			keys[validText(part)] = structpb.NewStringValue(validText(value))
		}
		fields["limit_keys"] = structpb.NewStructValue(&structpb.Struct{Fields: keys})
	}
	return &structpb.Struct{Fields: fields}
}

func setText(fields map[string]*structpb.Value, name, text string) {
	if text != "" {
		fields[name] = structpb.NewStringValue(validText(text))
	}
}
