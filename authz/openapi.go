package authz

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/openapi"
)

// Validation holds requests to an OpenAPI document.
type Validation struct {
	// Document is the document's name, and Sum that of its content.
	Document, Sum string
	// Shadow: what would be refused is counted, and passes.
	Shadow bool
	// validator is made of that content.
	validator *openapi.Validator `hash:"-"`
}

func newValidation(c *config.Config, r *config.Route) *Validation {
	if r.OpenAPI == nil {
		return nil
	}
	d := c.OpenAPI[r.OpenAPI.Document]
	return &Validation{Document: d.Name, Sum: d.Sum, Shadow: r.OpenAPI.InShadow(), validator: d.Validator}
}

// maxValidating is how many bytes of bodies are validated at once. What is read of a
// body takes some ten times its bytes.
const maxValidating = 16 << 20

// longBody is how long a body may be for the goroutine that reads a connection to
// judge it.
const longBody = 2 << 10

// validate holds a request that may pass otherwise to the route's document. It is the
// last of all: nobody who is not known, or has used up a limit, has a body parsed.
func (s *Server) validate(ctx context.Context, rq *request, p *Policy, v Verdict) Verdict {
	if p.Validation == nil || v.Reason != ReasonAllowed {
		return v
	}
	refused := s.invalid(ctx, rq, p.Validation)
	count := func(result string) { s.metrics.validations.WithLabelValues(kept(s.routeLabel(rq.route)), result).Inc() }
	switch {
	case refused == nil:
		count("valid")
		return v
	case p.Validation.Shadow && refused.reason == ReasonRequestInvalid:
		count("shadow")
		v.invalid = true
		return v
	case refused.reason == ReasonRequestInvalid:
		count("invalid")
	default:
		count("unknown")
	}
	// It goes to no backend, and so is not in flight.
	if len(v.Limits.Handles) > 0 {
		s.limiter.Release(v.Limits.Handles)
		v.Limits.Handles = nil
	}
	return v.denied(refused)
}

// invalid is why a request is not as its document says, or why that cannot be told.
func (s *Server) invalid(ctx context.Context, rq *request, val *Validation) *refusal {
	if refused := rq.bodyAsSent(val.validator); refused != nil {
		return refused
	}
	if len(rq.body) > longBody {
		inline.Blocks(ctx)
	}
	size := int64(max(1, min(len(rq.body), maxValidating)))
	if err := s.validating.Acquire(ctx, size); err != nil {
		return refuseFor(ReasonDeadlineExceeded, err)
	}
	defer s.validating.Release(size)
	fault := val.validator.Validate(ctx, &openapi.Request{Method: rq.method, Path: rq.path, Header: rq.httpHeader(), Body: []byte(rq.body)})
	if fault == nil {
		return nil
	}
	refused := refuse(ReasonRequestInvalid)
	refused.detail = "Not as the API's document says: " + fault.String() + "."
	return refused
}

// bodyAsSent tells whether the body that Check has is the client's, all of it and as it
// was sent.
//
// Envoys that we configure answer 413 to one that is too long, but not where it comes at
// once and at its end, as by HTTP/2: that they cut, and say so, though they were told to
// send no part of one. What is cut off would reach the backend unseen. Another's may also
// send none, or a text in which each byte that is not UTF-8 has become an exclamation mark.
func (r *request) bodyAsSent(v *openapi.Validator) *refusal {
	// Beside Envoy's own word there may be a client's: one that says so is enough.
	partial, _ := r.matched("x-envoy-auth-partial-body")
	length, count := r.header("content-length")
	n, err := strconv.Atoi(length)
	_, chunked := r.header("transfer-encoding")
	cut := strings.Contains(partial, "true") || count > 1 || count == 1 && (err != nil || n != len(r.body))
	switch {
	case cut && !r.unrouted:
		return refuse(ReasonBodyTooLarge)
	case !r.unrouted:
		return nil
	case cut, r.bodyIsText && strings.Contains(r.body, "!"):
		return refuse(ReasonBodyUnknown)
	case r.body != "", count == 1:
		return nil
	case chunked > 0, !r.mayLackBody(v):
		return refuse(ReasonBodyUnknown)
	}
	return nil
}

// mayLackBody tells whether a request that has no body here, and says nothing of one, is
// believed to have none. HTTP/2 may have one without a word, so that is where clients say
// nothing of a body that they do not send, and the document has none to be judged.
func (r *request) mayLackBody(v *openapi.Validator) bool {
	switch r.method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions:
		return !v.TakesBody(r.method, r.path)
	}
	return false
}

// httpHeader are the header lines as the validator reads them.
func (r *request) httpHeader() http.Header {
	h := make(http.Header, len(r.lines))
	for _, line := range r.lines {
		if !strings.HasPrefix(line.name, ":") && !r.isOwn(line.name) {
			h.Add(line.name, line.value)
		}
	}
	if len(r.lines) == 0 {
		for name, value := range r.joined {
			if !strings.HasPrefix(name, ":") && !r.isOwn(name) {
				h.Add(name, value)
			}
		}
	}
	return h
}
