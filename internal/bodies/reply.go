package bodies

import (
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// step is what a message of Envoy's is about.
type step int

const (
	onRequestHeaders step = iota
	onRequestBody
	onResponseHeaders
	onResponseBody
)

// ofOtherBytes are headers that tell of the bytes of a body, and of none that is made
// of it: a digest, a place in it, a name for it (RFC 9110, 9530).
var ofOtherBytes = []string{"content-md5", "digest", "content-digest", "repr-digest", "etag", "accept-ranges", "content-range"}

// common is an answer to a step.
func common(at step, c *extprocv3.CommonResponse) *extprocv3.ProcessingResponse {
	switch at {
	case onRequestHeaders:
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{Response: c}}}
	case onRequestBody:
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{Response: c}}}
	case onResponseHeaders:
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{Response: c}}}
	default:
		return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{Response: c}}}
	}
}

func ofHeaders(at step, m *extprocv3.HeaderMutation) *extprocv3.ProcessingResponse {
	return common(at, &extprocv3.CommonResponse{HeaderMutation: m})
}

// goOn leaves things as they are. last: so is whatever comes.
func (x *exchange) goOn(at step, last bool) *extprocv3.ProcessingResponse {
	x.done = x.done || last
	return common(at, nil)
}

// replaced puts another body in place.
func replaced(at step, body []byte) *extprocv3.ProcessingResponse {
	return common(at, &extprocv3.CommonResponse{
		HeaderMutation: &extprocv3.HeaderMutation{
			SetHeaders: []*corev3.HeaderValueOption{{
				Header:       &corev3.HeaderValue{Key: "content-length", RawValue: strconv.AppendInt(nil, int64(len(body)), 10)},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			}},
			RemoveHeaders: ofOtherBytes,
		},
		BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: body}},
	})
}

// instead has Envoy answer by itself, and is the last that is said.
func (x *exchange) instead(status int, details, text string) *extprocv3.ProcessingResponse {
	x.done = true
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
		Status:  &typev3.HttpStatus{Code: typev3.StatusCode(status)},
		Body:    []byte(text),
		Details: details,
	}}}
}

// modes are how bodies are to come from now on.
func modes(request, response extprocfilterv3.ProcessingMode_BodySendMode) *extprocfilterv3.ProcessingMode {
	return &extprocfilterv3.ProcessingMode{
		RequestHeaderMode: extprocfilterv3.ProcessingMode_SEND, ResponseHeaderMode: extprocfilterv3.ProcessingMode_SEND,
		RequestBodyMode: request, ResponseBodyMode: response,
		RequestTrailerMode: extprocfilterv3.ProcessingMode_SKIP, ResponseTrailerMode: extprocfilterv3.ProcessingMode_SKIP,
	}
}
