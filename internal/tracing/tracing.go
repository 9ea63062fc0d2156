// Package tracing makes Gatewright's own spans, and sends them to a collector of
// OpenTelemetry: those of the requests that Envoy records (Check, and what that waits
// for, by package span), and those of requests that were not to be recorded and have
// failed.
//
// It costs a look at a pointer where nothing is traced. Where something is, no request
// waits for it: spans are put into a queue, of which the overflow is dropped and
// counted.
package tracing

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/span"
)

// Tracer makes spans as a config says. One that was not told of any makes none.
type Tracer struct {
	log     *slog.Logger
	metrics *metrics
	// switched is told whether the trace contexts of calls are to be read.
	switched func(on bool)

	current atomic.Pointer[provider] // nil: nothing is traced

	mu    sync.Mutex // guards what follows
	wants *wanted
	ends  sync.WaitGroup // of providers that are no more
}

// provider is what spans are made by for one collector.
type provider struct {
	sdk    *sdktrace.TracerProvider
	tracer trace.Tracer
	queue  *queue
	errors bool
}

// wanted is all of a config that a provider depends on.
type wanted struct {
	tracing config.Tracing
	backend config.Backend
}

// New returns a Tracer. switched is told when it begins and ends to trace.
func New(log *slog.Logger, registerer prometheus.Registerer, switched func(on bool)) *Tracer {
	return &Tracer{log: log, metrics: newMetrics(registerer), switched: switched}
}

// Apply traces as a valid config says, from here on. Spans of before are still sent.
func (t *Tracer) Apply(c *config.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := wantedBy(c)
	if reflect.DeepEqual(next, t.wants) {
		return
	}
	var p *provider
	if next != nil {
		sink, err := newSink(next)
		if err != nil { // of options that are all our own: nothing is sent, and it is told
			t.log.Error("spans cannot be sent", "error", err)
			return
		}
		p = t.newProvider(next, sink)
	}
	t.wants = next
	t.replace(p)
}

// wantedBy is what a config wants of Gatewright's own spans; nil is none.
func wantedBy(c *config.Config) *wanted {
	if c.Tracing == nil || c.Tracing.OTLP == nil {
		return nil
	}
	return &wanted{*c.Tracing, *c.Backends[c.Tracing.OTLP.Backend]}
}

func (t *Tracer) newProvider(w *wanted, sink sdktrace.SpanExporter) *provider {
	q := newQueue(sink, t.metrics, t.log)
	sdk := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(q),
		// Join begins spans below those that are recorded alone, and Observe those that
		// are to be.
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())),
		sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", w.tracing.ServiceName()))),
	)
	return &provider{sdk: sdk, tracer: sdk.Tracer(span.Scope), queue: q, errors: w.tracing.RecordsErrors()}
}

// replace puts a provider in the place of the current one, which sends what it has.
func (t *Tracer) replace(p *provider) {
	before := t.current.Swap(p)
	if (before == nil) != (p == nil) {
		t.switched(p != nil)
	}
	if before != nil {
		t.ends.Go(before.end)
	}
}

// Close sends what there is, for some seconds at most.
func (t *Tracer) Close() {
	t.mu.Lock()
	t.replace(nil)
	t.wants = nil
	t.mu.Unlock()
	t.ends.Wait()
}

func (p *provider) end() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = p.sdk.Shutdown(ctx) // what is not sent then is counted
}
