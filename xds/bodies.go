package xds

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/bodies"
)

// rewriting is the filter that has Gatewright rewrite the bodies of a route. It is one
// of the route's own, so that a body of the route meets it as soon as there is the
// route, and so that what is to be done comes with the call: see package bodies.
//
// Requests meet it behind the judges, OpenAPI included, which see what the client has
// sent, and in front of the transcoder, which makes calls of what it has made; answers
// the other way round. So templates are about JSON, whatever the backend speaks.
//
// late: it stands in the cluster of a backend, where each answer is the backend's, and
// Envoy has no word for that yet.
func rewriting(r *config.Route, late bool) []*corev3.TypedExtensionConfig {
	if r.Body == nil {
		return nil
	}
	call := bodiesService()
	call.InitialMetadata = []*corev3.HeaderValue{{Key: bodies.TaskHeader, Value: bodyTask(r, late).Encode()}}
	filter := &extprocv3.ExternalProcessor{
		GrpcService:        call,
		FailureModeAllow:   r.Body.OnFailure == config.BodyPass,
		StatusOnError:      &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		MessageTimeout:     durationpb.New(controlTimeout),
		ProcessingMode:     bodyModes(r),
		ResponseAttributes: []string{"response.code_details"},
		// Of answers, the bodies that are rewritten are asked for.
		AllowModeOverride: true,
		// The request has been judged by the policy of the route that it has.
		RouteCacheAction: extprocv3.ExternalProcessor_RETAIN,
	}
	if len(r.Told()) > 0 {
		filter.MetadataOptions = &extprocv3.MetadataOptions{
			ForwardingNamespaces: &extprocv3.MetadataOptions_MetadataNamespaces{Untyped: []string{extAuthzFilter}},
		}
	}
	return []*corev3.TypedExtensionConfig{extension("bodies", filter)}
}

// bodiesService reaches the processor. The other cluster's connections carry no streams,
// and on this one's those of a thread that has had something to log carry nothing else:
// the first call on such a one is refused, untouched, with the word that the client is to
// make others elsewhere (package door), and so it is made once more.
func bodiesService() *corev3.GrpcService {
	s := controlService()
	s.RetryPolicy = &corev3.RetryPolicy{
		RetryOn:    "refused-stream",
		NumRetries: wrapperspb.UInt32(2),
	}
	return s
}

// templateLimit ends a request whose body is longer than the route rewrites.
func templateLimit(r *config.Route) []*corev3.TypedExtensionConfig {
	if !r.RewritesRequests() {
		return nil
	}
	return []*corev3.TypedExtensionConfig{bodySize(r.Body.Request.Bound())}
}

// bodyModes are what Envoy sends: of an answer nothing, where the route rewrites none,
// and its body only once Gatewright has seen the headers and asked for it: until then
// Envoy would hold it up to the bound, and take what is longer for a failure.
func bodyModes(r *config.Route) *extprocv3.ProcessingMode {
	m := &extprocv3.ProcessingMode{
		RequestHeaderMode: extprocv3.ProcessingMode_SKIP, ResponseHeaderMode: extprocv3.ProcessingMode_SKIP,
		RequestTrailerMode: extprocv3.ProcessingMode_SKIP, ResponseTrailerMode: extprocv3.ProcessingMode_SKIP,
	}
	if r.RewritesRequests() {
		m.RequestHeaderMode, m.RequestBodyMode = extprocv3.ProcessingMode_SEND, extprocv3.ProcessingMode_BUFFERED
	}
	if r.RewritesResponses() {
		m.ResponseHeaderMode = extprocv3.ProcessingMode_SEND
		if r.Body.Response.Reads.Request {
			m.RequestHeaderMode = extprocv3.ProcessingMode_SEND
		}
	}
	return m
}

// bodyTask is what Gatewright is to do for a route.
func bodyTask(r *config.Route, late bool) *bodies.Task {
	t := &bodies.Task{Route: r.Name, AllOfBackend: late, Pass: r.Body.OnFailure == config.BodyPass}
	if q := r.Body.Request; q != nil {
		t.Request = &bodies.Rewrite{Template: []byte(q.Template), Most: q.Bound()}
	}
	if q := r.Body.Response; q != nil {
		t.Response = &bodies.Rewrite{Template: []byte(q.Template), Most: q.Bound()}
		for _, s := range q.Status {
			t.Response.Status = append(t.Response.Status, [2]int{s.From, s.To})
		}
	}
	return t
}

// bodyBuffer is how much of a body Envoy holds for a route, where that is more than for
// any.
func bodyBuffer(r *config.Route) *wrapperspb.UInt64Value {
	most := 0
	if r.RewritesRequests() {
		most = r.Body.Request.Bound()
	}
	if r.RewritesResponses() {
		most = max(most, r.Body.Response.Bound())
	}
	if most <= listenerBufferLimit {
		return nil
	}
	return wrapperspb.UInt64(uint64(most))
}

// unrewritable are headers by which a backend would answer with what cannot be
// rewritten: a part of an answer, or a compressed one.
func unrewritable(r *config.Route) []string {
	if !r.RewritesResponses() {
		return nil
	}
	return []string{"accept-encoding", "range", "if-range"}
}

func (b builder) rewrites() bool {
	return slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool { return r.Body != nil })
}

// rewritingReplies are the answers in place of bodies that are not rewritten.
func (b builder) rewritingReplies() []*hcmv3.ResponseMapper {
	if !b.rewrites() {
		return nil
	}
	const said = "%LOCAL_REPLY_BODY%"
	failed := problem{502, "Bad Gateway", "response-invalid", "the answer of the backend is not what this route makes its own of"}
	var out []*hcmv3.ResponseMapper
	for _, r := range []struct {
		details string
		problem
	}{
		{bodies.TypeRefused, problem{415, "Unsupported Media Type", "body-type-refused", "the body of a request to this route must be JSON in UTF-8, and its Content-Type must say so"}},
		{bodies.EncodingRefused, problem{415, "Unsupported Media Type", "body-encoding-refused", "the body of the request is compressed in a way that this route does not take"}},
		{bodies.TooLarge, problem{413, "Content Too Large", "body-too-large", "the body of the request is longer than this route takes"}},
		{bodies.Invalid, problem{400, "Bad Request", "body-invalid", said}},
		{bodies.Unfitting, problem{400, "Bad Request", "body-unfit", said}},
		{bodies.ResponseFailed, failed},
	} {
		out = append(out, replyFor(detailed(r.details), r.problem))
	}
	tooLong := replyFor(detailed("response_payload_too_large"), failed)
	tooLong.StatusCode = wrapperspb.UInt32(502)
	away := replyFor(expression("response.code_details.startsWith('ext_proc_error')"),
		problem{503, "Service Unavailable", "rewrite-unavailable", "the gateway could not rewrite this body"})
	away.StatusCode = wrapperspb.UInt32(503) // Envoy has 504 for one that is slow
	return append(out, tooLong, away)
}
