package xds

import (
	_ "embed"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	transcoderv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_json_transcoder/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

const (
	transcoderFilter = "envoy.filters.http.grpc_json_transcoder"
	// callErrorFilter writes what a call has failed with as this gateway writes
	// problems.
	callErrorFilter = "gatewright.call_errors"
)

//go:embed callerror.lua
var callErrorScript string

// callErrorPlain and callErrorDetailed are the scripts that routes choose from.
const (
	callErrorPlain    = "plain"
	callErrorDetailed = "detailed"
)

func (b builder) transcodes() bool {
	return slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool { return r.GRPCTranscode != nil })
}

// transcoders are the filters of routes that are transcoded, switched off for all
// others. They may come and go with the routes, one after the other: without them
// a request of REST gets to a backend that refuses it (415), judged as it would be
// with them.
func (b builder) transcoders() []*hcmv3.HttpFilter {
	if !b.transcodes() {
		return nil
	}
	scripts := map[string]*corev3.DataSource{}
	for name, with := range map[string]string{callErrorPlain: "false", callErrorDetailed: "true"} {
		scripts[name] = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "local with_details = " + with + "\n" + callErrorScript}}
	}
	return []*hcmv3.HttpFilter{
		// In front of the other: a response meets it behind that.
		disabled(httpFilter(callErrorFilter, &luav3.Lua{SourceCodes: scripts})),
		disabled(httpFilter(transcoderFilter, &transcoderv3.GrpcJsonTranscoder{
			DescriptorSet: &transcoderv3.GrpcJsonTranscoder_ProtoDescriptorBin{},
		})),
	}
}

// disabled is a filter that only routes with settings of it meet.
func disabled(f *hcmv3.HttpFilter) *hcmv3.HttpFilter {
	f.Disabled = true
	return f
}

// underTranscoding adds a route's settings of those filters.
func underTranscoding(settings map[string]*anypb.Any, t *config.GRPCTranscode) {
	if t == nil {
		return
	}
	settings[transcoderFilter] = mustAny(transcoder(t))
	script := callErrorPlain
	if t.ErrorDetails {
		script = callErrorDetailed
	}
	settings[callErrorFilter] = mustAny(&luav3.LuaPerRoute{Override: &luav3.LuaPerRoute_Name{Name: script}})
}

func transcoder(t *config.GRPCTranscode) *transcoderv3.GrpcJsonTranscoder {
	return &transcoderv3.GrpcJsonTranscoder{
		DescriptorSet: &transcoderv3.GrpcJsonTranscoder_ProtoDescriptorBin{ProtoDescriptorBin: t.Set.Encoded},
		Services:      t.Services,
		AutoMapping:   t.Unbound,
		// The route that was picked, and judged, is the one: Envoy would look for
		// another by the path of the call.
		MatchIncomingRequestRoute:    true,
		IgnoreUnknownQueryParameters: t.UnknownQuery == config.UnknownQueryIgnore,
		IgnoredQueryParameters:       t.IgnoreQuery,
		// What is in a path is decoded once; a slash that is escaped no listener takes.
		UrlUnescapeSpec:            transcoderv3.GrpcJsonTranscoder_ALL_CHARACTERS_EXCEPT_SLASH,
		QueryParamUnescapePlus:     true,
		CaseInsensitiveEnumParsing: t.EnumsAnyCase,
		ConvertGrpcStatus:          true,
		// What is no call gets an answer, and not to a backend of gRPC.
		RequestValidationOptions: &transcoderv3.GrpcJsonTranscoder_RequestValidationOptions{
			RejectUnknownMethod:              true,
			RejectUnknownQueryParameters:     true,
			RejectBindingBodyFieldCollisions: true,
		},
		PrintOptions: &transcoderv3.GrpcJsonTranscoder_PrintOptions{
			AlwaysPrintPrimitiveFields: t.DefaultValues,
			AlwaysPrintEnumsAsInts:     t.EnumNumbers,
			PreserveProtoFieldNames:    t.ProtoNames,
			StreamNewlineDelimited:     t.Streams == config.StreamLines,
			StreamSseStyleDelimited:    t.Streams == config.StreamSSE,
		},
		MaxRequestBodySize:  boundOr(t.MaxRequest, config.DefaultTranscodeRequest),
		MaxResponseBodySize: boundOr(t.MaxResponse, config.DefaultTranscodeResponse),
	}
}

func boundOr(n, otherwise int) *wrapperspb.UInt32Value {
	if n == 0 {
		n = otherwise
	}
	return wrapperspb.UInt32(uint32(n))
}

// transcodingReplies are the answers to requests that are no calls. Envoy says
// where the fault is.
func (b builder) transcodingReplies() []*hcmv3.ResponseMapper {
	if !b.transcodes() {
		return nil
	}
	const said = "%LOCAL_REPLY_BODY%"
	of := func(status string, p problem) *hcmv3.ResponseMapper {
		return replyFor(expression("response.code_details.contains('grpc_json_transcode_failure')"+status), p)
	}
	return []*hcmv3.ResponseMapper{
		of(" && response.code == 404", problem{title: "Not Found", reason: "method-not-bound", detail: said}),
		of(" && response.code == 413", problem{title: "Content Too Large", reason: "message-too-large", detail: "the request is larger than this route takes"}),
		of(" && response.code < 500", problem{title: "Bad Request", reason: "message-invalid", detail: said}),
		of("", problem{title: "Internal Server Error", reason: "response-invalid", detail: "the answer of the backend cannot be written as JSON"}),
	}
}
