// Package span is how the packages that a request waits in tell of that: in a span
// below the one of the request, where that is recorded. Package tracing begins those,
// and sends them.
package span

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Scope is the instrumentation scope of Gatewright's spans.
const Scope = "github.com/gatewright/gatewright"

// The names of what a request may wait for.
const (
	Redis         = "redis"
	KeyStore      = "key store" // the database, or what Redis has of it
	JWKS          = "jwks"
	Introspection = "introspection"
)

// Waiting is a span while a request waits. The zero value is none.
type Waiting struct{ span trace.Span }

// Begin begins a span below that of the context. Where the request is not recorded, and
// where nothing is, it is none: it costs a look into the context, which is spent only
// where a request is about to wait.
func Begin(ctx context.Context, name string) Waiting {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return Waiting{}
	}
	_, s := parent.TracerProvider().Tracer(Scope).Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	return Waiting{s}
}

// End ends the span. An error marks it: what it says stays out, since errors of
// connections and of issuers may have a secret in them.
func (w Waiting) End(failed bool) {
	if w.span == nil {
		return
	}
	if failed {
		w.span.SetStatus(codes.Error, "")
	}
	w.span.End()
}
