package tracing

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"github.com/gatewright/gatewright/internal/inline"
)

// Join begins a span of a call that Envoy makes for a request, below Envoy's own. Where
// the request is not recorded there is none, and the context stays as it is.
func (t *Tracer) Join(ctx context.Context, name string) (context.Context, trace.Span) {
	p := t.current.Load()
	if p == nil {
		return ctx, nil
	}
	parent, ok := parseParent(contextOf(ctx))
	if !ok || !parent.IsSampled() {
		return ctx, nil
	}
	return p.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, parent), name, trace.WithSpanKind(trace.SpanKindServer))
}

// contextOf is the trace context of a call, whichever server it has come to.
func contextOf(ctx context.Context) string {
	if text, ok := inline.TraceparentOf(ctx); ok {
		return text
	}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		if values := md.Get("traceparent"); len(values) == 1 {
			return values[0]
		}
	}
	return ""
}

// parseParent reads a traceparent of W3C Trace Context, version 00: the one that Envoys
// write.
func parseParent(text string) (parent trace.SpanContext, ok bool) {
	const form = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if len(text) != len(form) || text[:3] != "00-" || text[35] != '-' || text[52] != '-' {
		return parent, false
	}
	var c trace.SpanContextConfig
	var flags [1]byte
	if !hexInto(c.TraceID[:], text[3:35]) || !hexInto(c.SpanID[:], text[36:52]) || !hexInto(flags[:], text[53:]) {
		return parent, false
	}
	c.TraceFlags, c.Remote = trace.TraceFlags(flags[0]), true
	parent = trace.NewSpanContext(c)
	return parent, parent.IsValid()
}

func hexInto(into []byte, text string) bool {
	n, err := hex.Decode(into, []byte(text))
	return err == nil && n == len(into)
}
