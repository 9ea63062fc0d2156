// Command otlpsink is a collector for tests: the OpenTelemetry collector's own OTLP
// receiver, and a line of JSON on standard output for each span and each record of a
// log that it takes. It is a module of its own, so that what the collector needs is no
// part of Gatewright's.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

func main() {
	grpc := flag.String("grpc", "", "address for OTLP by gRPC")
	http := flag.String("http", "", "address for OTLP by HTTP")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *grpc, *http); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, grpc, http string) error {
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	said := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{
		"grpc": map[string]any{"endpoint": grpc},
		"http": map[string]any{"endpoint": http},
	}})
	if err := said.Unmarshal(config); err != nil {
		return err
	}
	out := &lines{to: json.NewEncoder(os.Stdout)}
	spans, err := consumer.NewTraces(out.traces)
	if err != nil {
		return err
	}
	records, err := consumer.NewLogs(out.logs)
	if err != nil {
		return err
	}
	settings := receiver.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	traces, err := factory.CreateTraces(ctx, settings, config, spans)
	if err != nil {
		return err
	}
	logs, err := factory.CreateLogs(ctx, settings, config, records)
	if err != nil {
		return err
	}
	host := componenttest.NewNopHost()
	if err := traces.Start(ctx, host); err != nil {
		return err
	}
	if err := logs.Start(ctx, host); err != nil {
		return err
	}
	<-ctx.Done()
	ctx = context.WithoutCancel(ctx)
	if err := traces.Shutdown(ctx); err != nil {
		return err
	}
	return logs.Shutdown(ctx)
}

// lines are what is written.
type lines struct {
	mu sync.Mutex // guards to
	to *json.Encoder
}

// span is the line of a span.
type span struct {
	Trace      string         `json:"trace"`
	Span       string         `json:"span"`
	Parent     string         `json:"parent"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Service    any            `json:"service"`
	Scope      string         `json:"scope"`
	Status     string         `json:"status"`
	Start      int64          `json:"start"` // in ns since 1970
	End        int64          `json:"end"`
	Attributes map[string]any `json:"attributes"`
}

func (l *lines) traces(_ context.Context, all ptrace.Traces) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, resource := range all.ResourceSpans().All() {
		service := resource.Resource().Attributes().AsRaw()["service.name"]
		for _, scope := range resource.ScopeSpans().All() {
			for _, s := range scope.Spans().All() {
				if err := l.to.Encode(span{
					Trace: s.TraceID().String(), Span: s.SpanID().String(), Parent: s.ParentSpanID().String(),
					Name: s.Name(), Kind: s.Kind().String(), Service: service, Scope: scope.Scope().Name(),
					Status: s.Status().Code().String(), Start: int64(s.StartTimestamp()), End: int64(s.EndTimestamp()),
					Attributes: s.Attributes().AsRaw(),
				}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// record is the line of a record of a log.
type record struct {
	Log        any            `json:"log"`
	Trace      string         `json:"trace"`
	Service    any            `json:"service"`
	Attributes map[string]any `json:"attributes"`
}

func (l *lines) logs(_ context.Context, all plog.Logs) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, resource := range all.ResourceLogs().All() {
		service := resource.Resource().Attributes().AsRaw()["service.name"]
		for _, scope := range resource.ScopeLogs().All() {
			for _, r := range scope.LogRecords().All() {
				if err := l.to.Encode(record{body(r.Body()), r.TraceID().String(), service, r.Attributes().AsRaw()}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func body(v pcommon.Value) any { return v.AsRaw() }
