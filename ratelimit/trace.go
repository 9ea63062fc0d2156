package ratelimit

import (
	"context"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// trace begins the span of a call whose request is recorded; nil where it is not.
func (s *Service) trace(ctx context.Context) (context.Context, trace.Span) {
	if s.Trace == nil {
		return ctx, nil
	}
	return s.Trace(ctx, "ShouldRateLimit")
}

// answerTraced answers within a span, which it ends. It waits for Redis here, however it
// is asked: what is left to Redis has no span below this one, and few are recorded.
func (s *Service) answerTraced(ctx context.Context, span trace.Span, r *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	response, err := s.answerAny(ctx, r)
	tellSpan(span, r, response, err)
	return response, err
}

// tellSpan ends the span of a call with what was decided, by the names that the log has.
// What descriptors say stays out: they may be keys, and headers of requests.
func tellSpan(span trace.Span, r *rlsv3.RateLimitRequest, response *rlsv3.RateLimitResponse, err error) {
	reason := "allowed"
	if response.GetOverallCode() == rlsv3.RateLimitResponse_OVER_LIMIT {
		reason = rateLimited
		span.SetAttributes(attribute.String("limit", denying(response)))
	}
	if err != nil {
		reason = "error"
		span.SetStatus(codes.Error, "") // the log has the words
	}
	span.SetAttributes(attribute.String("domain", clipped(r.GetDomain())), attribute.String("reason", reason))
	span.End()
}

// denying is the name of the first limit that denies; that of a file's rule is empty,
// unless the rule has one.
func denying(response *rlsv3.RateLimitResponse) string {
	for _, s := range response.GetStatuses() {
		if s.GetCode() == rlsv3.RateLimitResponse_OVER_LIMIT {
			return s.GetCurrentLimit().GetName()
		}
	}
	return ""
}
