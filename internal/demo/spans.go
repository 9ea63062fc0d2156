package demo

import (
	"context"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Traced is a handler that makes a span of each request whose caller has it recorded
// (W3C Trace Context), and sends them, as those of the service name, to the collector
// that the environment says in OpenTelemetry's own variables
// (OTEL_EXPORTER_OTLP_ENDPOINT and its like; OTLP by HTTP). Where the environment says
// none, it is the handler itself. The caller calls end in the end, which sends what there
// still is for as long as its context allows.
func Traced(ctx context.Context, name string, handler http.Handler) (traced http.Handler, end func(context.Context) error, err error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return handler, func(context.Context) error { return nil }, nil
	}
	sink, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, err
	}
	sdk := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(sink, sdktrace.WithBatchTimeout(time.Second)),
		// What nobody has begun a trace for, as health checks, is recorded nowhere.
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", name))),
	)
	return &spans{handler, sdk.Tracer("github.com/gatewright/gatewright/internal/demo")}, sdk.Shutdown, nil
}

// spans makes a span of each request to a handler.
type spans struct {
	handler http.Handler
	tracer  trace.Tracer
}

// ServeHTTP serves within a span, below the caller's.
func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := s.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	s.handler.ServeHTTP(answer, r.WithContext(ctx))
	span.SetAttributes(
		attribute.String("http.request.method", r.Method),
		attribute.String("url.path", r.URL.Path),
		attribute.Int("http.response.status_code", answer.status),
	)
	if answer.status >= 500 {
		span.SetStatus(codes.Error, "")
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is what http.ResponseController looks through.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
