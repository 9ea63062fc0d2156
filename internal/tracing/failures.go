package tracing

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatewright/gatewright/internal/outcome"
)

// Observe is an outcome.Sink. A request that has failed, and that its Envoy has not
// recorded, gets one span: under the ids of the trace and of the span that Envoy has
// given it, which its backend and its client have been told.
//
// Whether a request fails is known at its end alone, and Envoy decides at its
// beginning. What has happened behind Envoy is recorded by nobody then; what is known
// here, the outcome says.
func (t *Tracer) Observe(o outcome.Outcome) {
	p := t.current.Load()
	if p == nil || !p.errors || o.Trace == "" || !failed(o) {
		return
	}
	in, ok := parseTag(o.Trace)
	if !ok || in.recorded {
		return
	}
	ctx := context.WithValue(context.Background(), idsKey{}, in)
	_, s := p.tracer.Start(ctx, "failed "+o.Route,
		trace.WithNewRoot(), trace.WithTimestamp(in.began), trace.WithSpanKind(trace.SpanKindServer))
	s.SetAttributes(
		attribute.String("route", o.Route),
		attribute.String("backend", o.Backend),
		attribute.Int("http.status_code", o.Status),
		attribute.Int("attempts", o.Attempts),
		attribute.Bool("sampled.for_error", true),
	)
	if names := o.Flags.Names(); len(names) > 0 {
		s.SetAttributes(attribute.StringSlice("flags", names))
	}
	if o.FirstByte > 0 {
		s.AddEvent("first byte of the backend", trace.WithTimestamp(in.began.Add(o.FirstByte)))
	}
	s.SetStatus(codes.Error, "")
	s.End(trace.WithTimestamp(in.began.Add(o.Duration)))
}

// failed tells a request that has not got an answer, or that of a gateway or backend
// that could not give another. What its client has broken off is no failure.
func failed(o outcome.Outcome) bool {
	if o.Status >= 500 {
		return true
	}
	return !o.Flags.Has(outcome.ClientGone) && o.Flags.Has(outcome.ConnectFailure|outcome.Reset|outcome.Timeout|outcome.NoHealthy)
}

// traced is what the tag of an outcome says.
type traced struct {
	trace trace.TraceID
	span  trace.SpanID
	began time.Time
	// recorded: Envoy has sent spans of it.
	recorded bool
}

// Recorded is the id of the trace of a request as the log has it, and whether there are
// spans of it: of its Envoy, or the one that Observe makes.
func (t *Tracer) Recorded(o outcome.Outcome) (id string, ok bool) {
	tag, ok := splitTag(o.Trace)
	if !ok || !isTraceID(tag.id) {
		return "", false
	}
	if p := t.current.Load(); p != nil && p.errors && failed(o) {
		return tag.id, true
	}
	return tag.id, tag.recorded()
}

func isTraceID(id string) bool {
	var into trace.TraceID
	padded := pad(id)
	return len(padded) == 2*len(into) && hexInto(into[:], padded) && into.IsValid()
}

// tag are the parts of a tag: see xds.traceTag.
type tag struct{ id, span, parent, request, began string }

func splitTag(text string) (out tag, ok bool) {
	rest := text
	for _, part := range []*string{&out.id, &out.span, &out.parent, &out.request} {
		if *part, rest, ok = strings.Cut(rest, " "); !ok {
			return tag{}, false
		}
	}
	out.began = rest
	return out, !strings.Contains(rest, " ")
}

// recorded tells whether Envoy has sent spans of the request.
func (t tag) recorded() bool {
	if p, ok := parseParent(t.parent); ok {
		return p.IsSampled()
	}
	return saysRecorded(t.request)
}

// parseTag reads a tag.
func parseTag(text string) (out traced, ok bool) {
	tag, ok := splitTag(text)
	if !ok || !hexInto(out.trace[:], pad(tag.id)) || !out.trace.IsValid() {
		return out, false
	}
	if !hexInto(out.span[:], tag.span) || !out.span.IsValid() {
		_, _ = rand.Read(out.span[:]) // it never fails
	}
	seconds, err := strconv.ParseFloat(tag.began, 64)
	if err != nil {
		return out, false
	}
	out.began, out.recorded = time.UnixMicro(int64(seconds*1e6)), tag.recorded()
	return out, true
}

// pad makes an id of 128 bits of one of 64, as Zipkin and Datadog may have.
func pad(id string) string {
	if len(id) == 16 {
		return strings.Repeat("0", 16) + id
	}
	return id
}

// saysRecorded tells whether Envoy's decision, which it packs into the ids of requests
// that it makes (uuid_request_id.proto), is to record the request: the version of the
// UUID is 4 where it is not.
func saysRecorded(request string) bool { return len(request) == 36 && request[14] != '4' }

// idsKey is the key of a context's traced, whose ids the next span gets.
type idsKey struct{}

// ids gives spans random ids, but those of traced requests their own.
type ids struct{}

// NewIDs implements sdktrace.IDGenerator.
func (ids) NewIDs(ctx context.Context) (t trace.TraceID, s trace.SpanID) {
	if in, ok := ctx.Value(idsKey{}).(traced); ok {
		return in.trace, in.span
	}
	_, _ = rand.Read(t[:])
	return t, ids{}.NewSpanID(ctx, t)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (s trace.SpanID) {
	_, _ = rand.Read(s[:])
	return s
}
