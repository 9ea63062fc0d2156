package xds

import (
	"slices"
	"strings"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// metadataReason is the key, in the metadata of a verdict and of a route, of
// the reason for an answer.
const metadataReason = "reason"

// metadataTold is the key of what a verdict tells of the caller.
const metadataTold = "told"

// routeMetadata is the namespace of the metadata that routes carry.
const routeMetadata = "gatewright"

// The bounds of what a client writes into the log, in bytes. A request may have
// 60 KiB of headers, and a flood of those would fill the disk of whoever keeps the
// lines, or make them longer than a collector takes.
const (
	maxLoggedPath = ":2048"
	maxLoggedText = ":512"
)

// outcomeFlush is how long each thread of an Envoy gathers outcomes before it sends them,
// and outcomeBuffer how many bytes of them at most where breakers or rollouts are fed by
// them: those of some hundred requests. To send and to receive a message costs more than
// what is in a small one, and Envoy's own 16 KiB, which do where outcomes are counted
// alone, are full before their time from 500 requests a second on.
const (
	outcomeFlush  = 50 * time.Millisecond
	outcomeBuffer = 64 << 10
)

// accessLogs are the two records of every request, where the config asks for both: a line of JSON on Envoy's
// standard output for people, and the outcome on the access log stream for
// Gatewright's metrics, breakers and rollouts.
// What the config says of the first is in logsinks.go.
func (b builder) accessLogs(l *config.Listener) []*accesslogv3.AccessLog {
	lines := b.lines(l)
	if !b.config.TellsOutcomes() {
		return lines
	}
	return append(lines, accessLog("envoy.access_loggers.http_grpc", b.outcomeLog(l.Name)))
}

// outcomeLog is the access log stream. It has the names of backends that were asked,
// and, where that may count against them, of those that had nobody to ask. The status
// of a gRPC call is in a trailer, or in the headers of an answer that has nothing else.
func (b builder) outcomeLog(name string) *grpclogv3.HttpGrpcAccessLogConfig {
	log := &grpclogv3.HttpGrpcAccessLogConfig{
		CommonConfig: &grpclogv3.CommonGrpcAccessLogConfig{
			LogName:             name,
			GrpcService:         controlService(),
			TransportApiVersion: corev3.ApiVersion_V3,
			BufferFlushInterval: durationpb.New(outcomeFlush),
		},
	}
	if b.judgesBackends() {
		log.CommonConfig.BufferSizeBytes = wrapperspb.UInt32(outcomeBuffer)
		log.CommonConfig.CustomTags = []*tracingv3.CustomTag{{
			Tag:  backendTag,
			Type: &tracingv3.CustomTag_Value{Value: "%UPSTREAM_CLUSTER%"},
		}}
	}
	if t := b.config.Tracing; t.RecordsErrors() || t.Names(config.ExemplarsTrace) {
		log.CommonConfig.CustomTags = append(log.CommonConfig.CustomTags, b.traceTag())
	}
	if b.config.Tracing.Names(config.ExemplarsUser) {
		log.CommonConfig.CustomTags = append(log.CommonConfig.CustomTags, spanTag("user", b.loggedUser()))
	}
	if b.hasCalls() {
		log.AdditionalResponseHeadersToLog = []string{grpcStatusHeader}
		log.AdditionalResponseTrailersToLog = []string{grpcStatusHeader}
	}
	return log
}

// grpcStatusHeader is by what a gRPC call ends.
const grpcStatusHeader = "grpc-status"

// backendTag is the tag of an outcome that names the backend that was picked.
const backendTag = "backend"

// judgesBackends tells whether something acts on how a backend does.
func (b builder) judgesBackends() bool {
	return b.hasBreakers() || slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool { return r.Rollout != nil })
}

// hasCalls tells whether some backend may be called by gRPC.
func (b builder) hasCalls() bool {
	for _, backend := range b.config.Backends {
		if backend.SpeaksHTTP2() {
			return true
		}
	}
	return false
}

// logLine is the line of JSON. The path is logged without its query, which may
// hold a secret; of the credential only the key's public id is known here. What a
// client has chosen is cut off where it is too long, so that a line has some 10 KiB
// at most.
func (b builder) logLine(l *config.Listener) map[string]string {
	verdict := func(key string) string { return "%DYNAMIC_METADATA(" + extAuthzFilter + ":" + key + ")%" }
	method := "%REQ(:METHOD)" + maxLoggedText + "%"
	if b.transcodes() {
		method = strings.TrimSuffix(firstOf("FILTER_STATE", clientMethodState+":PLAIN", "REQ", ":METHOD"), "%") + maxLoggedText + "%"
	}
	line := map[string]string{
		"time":        "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
		"listener":    l.Name,
		"method":      method,
		"host":        "%REQ(:AUTHORITY)" + maxLoggedText + "%",
		"path":        b.loggedPath(),
		"protocol":    "%PROTOCOL%",
		"status":      "%RESPONSE_CODE%",
		"flags":       "%RESPONSE_FLAGS%",
		"reason":      firstOf(reasons...),
		"route":       "%ROUTE_NAME%",
		"backend":     "%UPSTREAM_CLUSTER%",
		"upstream":    "%UPSTREAM_HOST%",
		"duration_ms": "%DURATION%",
		"upstream_ms": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)%",
		"bytes_in":    "%BYTES_RECEIVED%",
		"bytes_out":   "%BYTES_SENT%",
		"client_ip":   "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
		"user":        verdict("user"),
		"tenant":      verdict("tenant"),
		"plan":        verdict("plan"),
		"key_id":      verdict("key_id"),
		"trace_id":    "%TRACE_ID%",
		"request_id":  "%REQ(X-REQUEST-ID)%",
		"user_agent":  "%REQ(USER-AGENT)" + maxLoggedText + "%",
		"limit":       verdict("limit"),
		"policy":      verdict("policy"),
		"shadow":      verdict("shadow"),
	}
	if l.RateLimit == config.RateLimitFilter {
		tellOfFilter(line)
	}
	if len(b.config.Limits) > 0 {
		line["remaining"] = verdict("remaining")
	}
	if b.hasBreakers() {
		line["breaker"] = verdict("breaker")
	}
	if b.judges() {
		line["config"] = verdict("config")
	}
	return line
}

// hasBreakers tells whether some backend has a breaker.
func (b builder) hasBreakers() bool {
	for _, backend := range b.config.Backends {
		if backend.Breaker != nil {
			return true
		}
	}
	return false
}

// judges tells whether there is anything to judge by.
func (b builder) judges() bool {
	a := b.config.Auth
	return len(b.config.Limits)+len(a.JWT)+len(a.APIKey)+len(a.Introspection)+len(a.ClientCertificate) > 0 || b.hasBreakers()
}

// loggedPath is the path that the client has asked for, without its query.
func (b builder) loggedPath() string {
	if b.rewritesPaths() {
		return strings.TrimSuffix(firstOf("FILTER_STATE", clientPathState+":PLAIN", "PATH", "NQ"), "%") + maxLoggedPath + "%"
	}
	return "%PATH(NQ)" + maxLoggedPath + "%"
}

// tellOfFilter adds to a line what the rate limit filter was told of a request that
// it has denied, or that a limit in shadow would have (ratelimit.Service).
func tellOfFilter(line map[string]string) {
	said := func(key string) []string { return []string{"DYNAMIC_METADATA", extAuthzFilter + ":" + key} }
	told := func(key string) []string { return []string{"DYNAMIC_METADATA", rateLimitFilter + ":" + key} }
	line["reason"] = firstOf(slices.Concat(told(metadataReason), reasons)...)
	line["limit"] = firstOf(slices.Concat(told("limit"), said("limit"))...)
	line["shadow"] = firstOf(slices.Concat(said("shadow"), told("shadow"))...)
}

// reasons are where the reason of an answer is found that no rate limit filter has
// given: the verdict, the route, and Envoy's own word.
var reasons = []string{
	"DYNAMIC_METADATA", extAuthzFilter + ":" + metadataReason,
	"METADATA", "ROUTE:" + routeMetadata + ":" + metadataReason,
	"RESPONSE_CODE_DETAILS", "",
}

// firstOf is the first of several commands, given as pairs of command and
// parameter, that has a value.
func firstOf(pairs ...string) string {
	out := `%COALESCE({"operators":[`
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			out += ","
		}
		out += `{"command":"` + pairs[i] + `"`
		if pairs[i+1] != "" {
			out += `,"param":"` + pairs[i+1] + `"`
		}
		out += "}"
	}
	return out + `]})%`
}

// putMetadata has a route carry a text, for filters and logs, beside what it carries.
func putMetadata(route *routev3.Route, key, text string) {
	putMetadataValue(route, key, structpb.NewStringValue(text))
}

func putMetadataValue(route *routev3.Route, key string, value *structpb.Value) {
	if route.Metadata == nil {
		route.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
	}
	carried := route.Metadata.FilterMetadata[routeMetadata]
	if carried == nil {
		carried = stringStruct(nil)
		route.Metadata.FilterMetadata[routeMetadata] = carried
	}
	carried.Fields[key] = value
}

func stringStruct(m map[string]string) *structpb.Struct {
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(m))}
	for k, v := range m {
		s.Fields[k] = structpb.NewStringValue(v)
	}
	return s
}

func accessLog(name string, m proto.Message) *accesslogv3.AccessLog {
	return &accesslogv3.AccessLog{
		Name:       name,
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: mustAny(m)},
	}
}
