package bodies

import (
	"context"
	"errors"
	"mime"
	"net/url"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/internal/jsontemplate"
)

// What Envoy's own words are of an answer that Server asks it for: see xds, which makes
// a problem document of each. What the answer says more is in its body.
const (
	TypeRefused     = "gatewright_body_type"
	EncodingRefused = "gatewright_body_encoding"
	TooLarge        = "gatewright_body_too_large"
	Invalid         = "gatewright_body_invalid"
	Unfitting       = "gatewright_body_unfitting"
	ResponseFailed  = "gatewright_response_failed"
)

// judgeFilter is the filter that tells of the caller, and told the key under which it
// does: see authz.
const (
	judgeFilter = "envoy.filters.http.ext_authz"
	told        = "told"
)

// exchange is one request and its answer.
type exchange struct {
	server *Server
	ctx    context.Context
	task   *Task
	facts  jsontemplate.Facts
	// done: Envoy is not to ask any more.
	done bool
}

// answer is what Envoy is told of a message.
func (x *exchange) answer(m *extprocv3.ProcessingRequest) (*extprocv3.ProcessingResponse, error) {
	x.learn(m)
	switch rq := m.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		return x.requestHeaders(rq.RequestHeaders), nil
	case *extprocv3.ProcessingRequest_RequestBody:
		return x.requestBody(rq.RequestBody.GetBody())
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return x.responseHeaders(rq.ResponseHeaders, origin(m)), nil
	case *extprocv3.ProcessingRequest_ResponseBody:
		return x.responseBody(rq.ResponseBody.GetBody())
	}
	return nil, status.Error(codes.InvalidArgument, "the message is about neither headers nor a body")
}

// learn takes what the judge tells of the caller. It is percent-encoded where a header
// could not have it.
func (x *exchange) learn(m *extprocv3.ProcessingRequest) {
	fields := m.GetMetadataContext().GetFilterMetadata()[judgeFilter].GetFields()[told].GetStructValue().GetFields()
	if fields == nil {
		return
	}
	x.facts.Claims = map[string]string{}
	for name, value := range fields {
		text, err := url.PathUnescape(value.GetStringValue())
		if err != nil {
			continue // the judge encodes every percent sign: this is none of its texts
		}
		switch claim, isClaim := strings.CutPrefix(name, "claims."); {
		case isClaim:
			x.facts.Claims[claim] = text
		case name == "user":
			x.facts.User = text
		case name == "tenant":
			x.facts.Tenant = text
		}
	}
}

// fromBackend are Envoy's details of an answer that a backend has given.
const fromBackend = "via_upstream"

// origin is Envoy's word for who has given an answer.
func origin(m *extprocv3.ProcessingRequest) string {
	for _, attributes := range m.GetAttributes() {
		if details, ok := attributes.GetFields()["response.code_details"]; ok {
			return details.GetStringValue()
		}
	}
	return ""
}

func (x *exchange) requestHeaders(h *extprocv3.HttpHeaders) *extprocv3.ProcessingResponse {
	all := headersOf(h)
	x.facts.Method, x.facts.Host = all[":method"], all[":authority"]
	x.facts.Path, x.facts.Query, _ = strings.Cut(all[":path"], "?")
	x.facts.Headers = withoutPseudo(all)
	r := x.task.Request
	if r == nil || h.GetEndOfStream() {
		return x.goOn(onRequestHeaders, x.task.Response == nil)
	}
	if fault := headerFault(all, r.Most); fault != nil {
		return x.requestFault(onRequestHeaders, fault)
	}
	return x.goOn(onRequestHeaders, false)
}

func (x *exchange) requestBody(body []byte) (*extprocv3.ProcessingResponse, error) {
	last := x.task.Response == nil
	if len(body) == 0 { // there was none
		return x.goOn(onRequestBody, last), nil
	}
	made, fault, err := x.apply(x.task.Request, body)
	switch {
	case err != nil:
		return nil, err
	case fault != nil:
		return x.requestFault(onRequestBody, fault), nil
	}
	x.server.count(x.task, "request", "rewritten")
	x.done = last
	return replaced(onRequestBody, made), nil
}

func (x *exchange) responseHeaders(h *extprocv3.HttpHeaders, origin string) *extprocv3.ProcessingResponse {
	all := headersOf(h)
	r := x.task.Response
	status, _ := strconv.Atoi(all[":status"])
	x.facts.Status, x.facts.AnswerHeaders = status, withoutPseudo(all)
	switch {
	case r == nil || !r.rewrites(status) || origin != fromBackend && !x.task.AllOfBackend:
		return x.goOn(onResponseHeaders, true)
	case h.GetEndOfStream(): // as of HEAD, or there is nothing
		x.done = true
		answer := ofHeaders(onResponseHeaders, &extprocv3.HeaderMutation{RemoveHeaders: ofOtherBytes})
		if length := all["content-length"]; length != "" && length != "0" {
			answer.GetResponseHeaders().GetResponse().HeaderMutation.RemoveHeaders = append([]string{"content-length"}, ofOtherBytes...)
		}
		return answer
	}
	if fault := headerFault(all, r.Most); fault != nil {
		return x.responseFault(onResponseHeaders, fault)
	}
	answer := x.goOn(onResponseHeaders, false)
	answer.ModeOverride = modes(extprocfilterv3.ProcessingMode_NONE, extprocfilterv3.ProcessingMode_BUFFERED)
	return answer
}

func (x *exchange) responseBody(body []byte) (*extprocv3.ProcessingResponse, error) {
	made, fault, err := x.apply(x.task.Response, body)
	switch {
	case err != nil:
		return nil, err
	case fault != nil:
		return x.responseFault(onResponseBody, fault), nil
	}
	x.server.count(x.task, "response", "rewritten")
	x.done = true
	return replaced(onResponseBody, made), nil
}

// apply makes the new body, once there is room.
func (x *exchange) apply(r *Rewrite, body []byte) ([]byte, *bodyFault, error) {
	if r == nil {
		return nil, nil, status.Error(codes.InvalidArgument, "the task has no template for this body")
	}
	if len(body) > r.Most {
		return nil, &bodyFault{result: "too-large", details: TooLarge, status: 413}, nil
	}
	select {
	case x.server.rewriting <- struct{}{}:
		defer func() { <-x.server.rewriting }()
	case <-x.ctx.Done():
		return nil, nil, status.FromContextError(x.ctx.Err()).Err()
	}
	made, err := r.compiled.Apply(body, x.facts, r.Most)
	if err != nil {
		return nil, applyFault(err), nil
	}
	return made, nil, nil
}

// bodyFault is why a body is not rewritten.
type bodyFault struct {
	result, details, text string
	status                int // of the answer to a request
}

func applyFault(err error) *bodyFault {
	f := &bodyFault{result: "not-fitting", details: Unfitting, status: 400, text: err.Error()}
	var fault *jsontemplate.Fault
	if errors.As(err, &fault) && fault.Kind == jsontemplate.NotJSON {
		f.result, f.details = "not-json", Invalid
	}
	return f
}

// headerFault is what is wrong with a body by what its headers say.
func headerFault(all map[string]string, most int) *bodyFault {
	if coding := strings.ToLower(all["content-encoding"]); coding != "" && coding != "identity" {
		return &bodyFault{result: "encoding", details: EncodingRefused, status: 415}
	}
	if !isJSON(all["content-type"]) {
		return &bodyFault{result: "type", details: TypeRefused, status: 415}
	}
	if n, err := strconv.ParseUint(all["content-length"], 10, 64); err == nil && n > uint64(most) {
		return &bodyFault{result: "too-large", details: TooLarge, status: 413}
	}
	return nil
}

// isJSON tells of a media type that is JSON, or ends in +json, in UTF-8.
func isJSON(contentType string) bool {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return false
	}
	charset, said := parameters["charset"]
	return !said || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii")
}

// requestFault answers a request whose body is not rewritten, or lets it pass.
func (x *exchange) requestFault(at step, f *bodyFault) *extprocv3.ProcessingResponse {
	x.server.count(x.task, "request", f.result)
	if x.task.Pass && f.details != TooLarge {
		answer := x.goOn(at, false)
		if at == onRequestHeaders {
			answer.ModeOverride = modes(extprocfilterv3.ProcessingMode_NONE, extprocfilterv3.ProcessingMode_NONE)
			x.done = x.task.Response == nil
		}
		return answer
	}
	return x.instead(f.status, f.details, f.text)
}

// responseFault answers in place of a backend whose body is not rewritten, or lets it
// pass. What is wrong with it is none of the client's business.
func (x *exchange) responseFault(at step, f *bodyFault) *extprocv3.ProcessingResponse {
	x.server.count(x.task, "response", f.result)
	x.server.log.Debug("an answer is not rewritten", "route", x.task.Route, "result", f.result, "fault", f.text)
	if x.task.Pass {
		return x.goOn(at, true)
	}
	return x.instead(502, ResponseFailed, "")
}

// headersOf are the values by names, those of several lines joined by commas.
func headersOf(h *extprocv3.HttpHeaders) map[string]string {
	all := make(map[string]string, len(h.GetHeaders().GetHeaders()))
	for _, v := range h.GetHeaders().GetHeaders() {
		text := value(v)
		if before, there := all[v.GetKey()]; there {
			text = before + "," + text
		}
		all[v.GetKey()] = text
	}
	return all
}

func value(v *corev3.HeaderValue) string {
	if raw := v.GetRawValue(); len(raw) > 0 {
		return strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	return v.GetValue()
}

// withoutPseudo are headers as a template sees them.
func withoutPseudo(all map[string]string) func() map[string]string {
	return func() map[string]string {
		out := make(map[string]string, len(all))
		for name, text := range all {
			if !strings.HasPrefix(name, ":") {
				out[name] = text
			}
		}
		return out
	}
}
