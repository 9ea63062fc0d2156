package tracing

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gatewright/gatewright/config"
)

// heldSink takes spans when it may, and fails where it is told to.
type heldSink struct {
	mu    sync.Mutex // guards taken
	taken int
	hold  chan struct{} // nil holds nothing
	err   error
}

func (s *heldSink) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken += len(spans)
	return s.err
}

func (*heldSink) Shutdown(context.Context) error { return nil }

// tracerInto is a Tracer that sends to a sink, and makes n spans.
func tracerInto(t *testing.T, sink sdktrace.SpanExporter) (*Tracer, func(n int)) {
	t.Helper()
	tracer := New(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func(bool) {})
	p := tracer.newProvider(&wanted{tracing: config.Tracing{OTLP: &config.SpanSink{}}}, sink)
	tracer.replace(p)
	return tracer, func(n int) {
		for range n {
			_, s := p.tracer.Start(context.Background(), "span")
			s.End()
		}
	}
}

func wantCounts(t *testing.T, m *metrics, sent, dropped, failed float64) {
	t.Helper()
	if s, d, f := testutil.ToFloat64(m.sent), testutil.ToFloat64(m.dropped), testutil.ToFloat64(m.failed); s != sent || d != dropped || f != failed {
		t.Errorf("sent %v, dropped %v, failed %v, want %v, %v, %v", s, d, f, sent, dropped, failed)
	}
}

// TestQueueDropsWhatDoesNotFit, counts it, and nobody waits.
func TestQueueDropsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := &heldSink{hold: make(chan struct{})}
		tracer, make := tracerInto(t, sink)
		make(maxBatch)
		synctest.Wait() // they are being sent
		make(maxQueued + 10)
		synctest.Wait()
		wantCounts(t, tracer.metrics, 0, 10, 0)
		close(sink.hold)
		tracer.Close()
		wantCounts(t, tracer.metrics, maxBatch+maxQueued, 10, 0)
		if sink.taken != maxBatch+maxQueued {
			t.Errorf("the sink has taken %d", sink.taken)
		}
	})
}

// TestQueueGivesUpOnASinkThatStandsStill after its time, and at the end at once.
func TestQueueGivesUpOnASinkThatStandsStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tracer, make := tracerInto(t, &heldSink{hold: make(chan struct{})})
		make(3)
		tracer.Close() // it does not wait for ever: synctest would tell
		wantCounts(t, tracer.metrics, 0, 0, 3)
	})
}

// TestQueueCountsWhatIsRefused, and goes on.
func TestQueueCountsWhatIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tracer, make := tracerInto(t, &heldSink{err: errors.New("no")})
		make(maxBatch + 1)
		tracer.Close()
		wantCounts(t, tracer.metrics, 0, 0, maxBatch+1)
	})
}

// TestJoinCostsNothing where nothing is traced.
func TestJoinCostsNothing(t *testing.T) {
	tracer := New(slog.New(slog.DiscardHandler), nil, func(bool) {})
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		if c, s := tracer.Join(ctx, "Check"); c != ctx || s != nil {
			t.Error("there is a span")
		}
	}); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

// TestApply begins and ends to trace, and tells whether contexts are wanted.
func TestApply(t *testing.T) {
	t.Parallel()
	var told []string
	tracer := New(slog.New(slog.DiscardHandler), nil, func(on bool) {
		told = append(told, map[bool]string{true: "on", false: "off"}[on])
	})
	with := func(service string) *config.Config {
		return &config.Config{
			Backends: map[string]*config.Backend{"c": {Endpoints: []*config.Endpoint{{Address: "127.0.0.1:1"}}, Protocol: config.ProtocolGRPC}},
			Tracing:  &config.Tracing{OTLP: &config.SpanSink{Backend: "c"}, Service: service},
		}
	}
	tracer.Apply(&config.Config{})
	tracer.Apply(with("a"))
	first := tracer.current.Load()
	tracer.Apply(with("a"))
	if first == nil || tracer.current.Load() != first {
		t.Error("the same config makes another provider")
	}
	tracer.Apply(with("b"))
	if tracer.current.Load() == first {
		t.Error("another config changes nothing")
	}
	tracer.Apply(&config.Config{})
	tracer.Apply(with("c"))
	tracer.Close()
	if got := strings.Join(told, " "); got != "on off on off" {
		t.Errorf("it tells %q", got)
	}
}
