package xds

import (
	"encoding/json"
	"slices"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// problemContentType is the media type of RFC 9457.
const problemContentType = "application/problem+json"

// problem is the body of an answer that Envoy gives by itself. It has the form
// of those that authz gives, so that a client parses one thing.
type problem struct {
	status                int // 0: whatever status Envoy has chosen
	title, reason, detail string
}

func (p problem) fields() map[string]any {
	f := map[string]any{
		"type":   "urn:gatewright:problem:" + p.reason,
		"title":  p.title,
		"reason": p.reason,
		"detail": p.detail,
		"status": "%RESPONSE_CODE%",
	}
	if p.status != 0 {
		f["status"] = p.status
	}
	return f
}

func (p problem) json() string {
	b, _ := json.Marshal(p.fields()) // strings and an int: cannot fail
	return string(b)
}

// localReplies give Envoy's own failures a body with a reason. The first
// mapper whose filter fits is used; what none fits (the denials of Check, a
// route's own response) goes out as it is.
func (b builder) localReplies(l *config.Listener) *hcmv3.LocalReplyConfig {
	overloaded := problem{title: "Service Unavailable", reason: "backend-overloaded",
		detail: "the backend has as many requests as it may have"}
	mappers := slices.Concat(b.transcodingReplies(), b.rewritingReplies(), []*hcmv3.ResponseMapper{refusedConnect()}, ofRequests(l))
	mappers = append(mappers,
		replyFor(judgeSilent(), problem{title: "Service Unavailable", reason: "authz-unavailable",
			detail: "the gateway could not judge this request"}),
		replyFor(upgradeRefused(), problem{title: "Forbidden", reason: "upgrade-refused",
			detail: "this route does not upgrade connections to the protocol asked for"}),
		replyFor(flags("RL"), problem{title: "Too Many Requests", reason: "rate-limited",
			detail: "a rate limit of this route is used up"}),
		replyFor(flags("RLSE"), problem{title: "Service Unavailable", reason: "limit-service-unavailable",
			detail: "the gateway could not count this request"}),
		replyFor(flags("UH", "NC"), problem{title: "Service Unavailable", reason: "backend-unavailable",
			detail: "no endpoint of the backend can be used"}),
		replyFor(flags("UT", "SI", "DI"), problem{title: "Gateway Timeout", reason: "backend-timeout",
			detail: "the backend did not answer in time"}),
		replyFor(flags("UF", "UC", "UR", "LR", "URX", "UPE"), problem{title: "Service Unavailable", reason: "backend-failed",
			detail: "the connection to the backend failed"}),
		// Behind those: a try that has failed, and may not be repeated for want of
		// budget, has this flag beside its own.
		replyFor(flags("UO"), overloaded),
	)
	if b.limitsBodies() {
		mappers = append(mappers, replyFor(detailed(bodyTooLarge), problem{title: "Content Too Large", reason: "body-too-large",
			detail: "the body of the request is longer than this route takes"}))
	}
	if b.unpacksRequests() {
		packed := replyFor(detailed(packedOtherwiseDetails), problem{title: "Unsupported Media Type", reason: "body-encoding-refused",
			detail: "the body of the request is compressed in a way that this route does not take"})
		packed.StatusCode = wrapperspb.UInt32(415)
		mappers = append(mappers, packed)
	}
	limited := replyFor(detailed(limitedDetails), problem{status: 429, title: "Too Many Requests", reason: "rate-limited",
		detail: "The rate limit is used up."})
	if len(b.limitFilters(l)) > 0 {
		mappers = append(mappers, limited)
	}
	if b.adaptive != "" {
		mappers = append(mappers, replyFor(detailed("reached_concurrency_limit"), overloaded))
	}
	mappers = b.inOwnBodies(mappers)
	asCheckSays(limited)
	return &hcmv3.LocalReplyConfig{Mappers: mappers}
}

// ofRequests are the answers to requests that Envoy takes for none, or that go beyond
// what the listener takes: they come before a route is looked for, or whichever it is.
// A listener that says no bounds leaves them in Envoy's words.
func ofRequests(l *config.Listener) []*hcmv3.ResponseMapper {
	if l.Bounds == nil {
		return nil
	}
	var out []*hcmv3.ResponseMapper
	for _, p := range []problem{
		{400, "Bad Request", "request-malformed", "the request is no HTTP that the gateway takes"},
		{408, "Request Timeout", "request-timeout", "the request was not whole in time"},
		{413, "Content Too Large", "body-too-large", "the body of the request is larger than may be"},
		{426, "Upgrade Required", "version-unsupported", "the gateway speaks HTTP/1.1 and later"},
		{431, "Request Header Fields Too Large", "headers-too-large", "the request has more headers than may be, or larger ones"},
		{501, "Not Implemented", "coding-unsupported", "the gateway knows no transfer coding but chunked"},
	} {
		out = append(out, replyFor(all(statusIs(p.status), envoysOwn()), p))
	}
	return out
}

// envoysOwn is an answer that is neither a route's own nor the judge's.
func envoysOwn() *accesslogv3.AccessLogFilter {
	return expression("!(response.code_details in ['direct_response', 'ext_authz_denied'])")
}

// statusIs is an answer with this status.
func statusIs(status int) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{
		StatusCodeFilter: &accesslogv3.StatusCodeFilter{Comparison: &accesslogv3.ComparisonFilter{
			Op:    accesslogv3.ComparisonFilter_EQ,
			Value: &corev3.RuntimeUInt32{DefaultValue: uint32(status), RuntimeKey: "gatewright.never_set"},
		}},
	}}
}

// detailed is an answer of which Envoy says no more than these details.
func detailed(details string) *accesslogv3.AccessLogFilter {
	return expression("response.code_details == '" + details + "'")
}

// expression is an answer of which an expression of CEL is true.
func expression(text string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{
		ExtensionFilter: &accesslogv3.ExtensionFilter{
			Name:       "envoy.access_loggers.extension_filters.cel",
			ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: mustAny(&celv3.ExpressionFilter{Expression: text})},
		},
	}}
}

func replyFor(f *accesslogv3.AccessLogFilter, p problem) *hcmv3.ResponseMapper {
	body, err := structpb.NewStruct(p.fields())
	if err != nil {
		panic("xds: local reply body: " + err.Error()) // constant strings: a bug, not an input
	}
	return &hcmv3.ResponseMapper{
		Filter: f,
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			Format:      &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: body},
			ContentType: problemContentType,
		},
	}
}

func flags(names ...string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: names},
	}}
}

// judgeSilent is ext_authz refusing a request that Check has said nothing of:
// the service is down, slow or in error. A denial by Check has the same flag,
// but a reason in its metadata.
func judgeSilent() *accesslogv3.AccessLogFilter { return all(flags("UAEX"), noReason()) }

// upgradeRefused is a request to switch protocols on a route that does not say
// so: Envoy's own 403, which has no flag. Check's would have a reason.
func upgradeRefused() *accesslogv3.AccessLogFilter {
	asked := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{
		HeaderFilter: &accesslogv3.HeaderFilter{Header: present("upgrade")},
	}}
	return all(statusIs(403), asked, noReason())
}

// noReason is a request that Check has given no reason for.
func noReason() *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{
		MetadataFilter: &accesslogv3.MetadataFilter{
			// A reason is a string and so never null: only its absence fits.
			// (This filter does not heed the matcher's invert.)
			Matcher:            metadataMatcher(nullValue(), extAuthzFilter, metadataReason),
			MatchIfKeyNotFound: wrapperspb.Bool(true),
		},
	}}
}

func all(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{
		AndFilter: &accesslogv3.AndFilter{Filters: filters},
	}}
}
