package authz

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tellSpan ends the span of a Check with what the log says of its verdict, by the same
// names.
func tellSpan(span trace.Span, rq *request, v Verdict) {
	reason := v.Reason
	if reason != ReasonAllowed {
		reason, _ = problemOf(reason)
	}
	said := []attribute.KeyValue{attribute.String("route", rq.route), attribute.String("reason", string(reason))}
	for _, a := range []attribute.KeyValue{
		attribute.String("user", v.Identity.User),
		attribute.String("tenant", v.Identity.Tenant),
		attribute.String("key_id", v.Identity.KeyID),
		attribute.String("limit", v.Limits.Limit),
	} {
		if a.Value.AsString() != "" {
			said = append(said, a)
		}
	}
	span.SetAttributes(said...)
	if v.cause != nil {
		span.SetStatus(codes.Error, "") // the log has the words
	}
	span.End()
}
