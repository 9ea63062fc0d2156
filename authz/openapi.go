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
	count := func(result string) { s.metrics.validations.WithLabelValues(kept(s.routeLabel(rq)), result).Inc() }
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
	if refused := rq.bodyAsSent(); refused != nil {
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

// bodyAsSent tells whether the body that Check has is the client's, all of it. Envoys
// that we configure send it or answer 413; another's may send none, or a part.
func (r *request) bodyAsSent() *refusal {
	if !r.unrouted {
		return nil
	}
	// Beside Envoy's own word there may be a client's: one that says so is enough.
	if partial, _ := r.matched("x-envoy-auth-partial-body"); strings.Contains(partial, "true") {
		return refuse(ReasonBodyUnknown)
	}
	if r.body != "" || r.method == http.MethodGet || r.method == http.MethodHead {
		length, count := r.header("content-length")
		if n, err := strconv.Atoi(length); count > 0 && (err != nil || n != len(r.body)) {
			return refuse(ReasonBodyUnknown)
		}
		if _, chunked := r.header("transfer-encoding"); r.body == "" && chunked > 0 {
			return refuse(ReasonBodyUnknown)
		}
		return nil
	}
	// That there is no body is believed where the client says so: HTTP/2 may have one
	// without a word.
	if length, count := r.header("content-length"); count == 1 && length == "0" {
		return nil
	}
	return refuse(ReasonBodyUnknown)
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
