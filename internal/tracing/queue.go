package tracing

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The bounds of what waits to be sent. A span is some KiB.
const (
	maxQueued = 4096
	maxBatch  = 512
	// flushEvery is how long a span waits for others.
	flushEvery = 500 * time.Millisecond
	// sendTimeout is how long the collector may take for one batch.
	sendTimeout = 5 * time.Second
	// closeTimeout is how long the last spans may take.
	closeTimeout = 2 * time.Second
	// tellEvery is how often a failure is told in the log.
	tellEvery = time.Minute
)

// metrics count spans by what became of them.
type metrics struct{ sent, dropped, failed prometheus.Counter }

func newMetrics(reg prometheus.Registerer) *metrics {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatewright_spans_total",
		Help: "Spans of Gatewright's own, by result: sent, failed (the collector has not taken them) or dropped (too many wait).",
	}, []string{"result"})
	if reg != nil {
		reg.MustRegister(spans)
	}
	return &metrics{spans.WithLabelValues("sent"), spans.WithLabelValues("dropped"), spans.WithLabelValues("failed")}
}

// queue is a span processor that never waits: what does not fit is dropped. That of the
// SDK does so, too, and tells nobody how many those are.
type queue struct {
	sink    sdktrace.SpanExporter
	metrics *metrics
	log     *slog.Logger

	spans chan sdktrace.ReadOnlySpan
	// closing is closed when no more is to come, and sent when all is sent.
	closing, sent chan struct{}
	once          sync.Once
	// ctx ends what is being sent.
	ctx    context.Context
	cancel context.CancelFunc
}

func newQueue(sink sdktrace.SpanExporter, m *metrics, log *slog.Logger) *queue {
	q := &queue{
		sink: sink, metrics: m, log: log,
		spans: make(chan sdktrace.ReadOnlySpan, maxQueued), closing: make(chan struct{}), sent: make(chan struct{}),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// OnStart implements sdktrace.SpanProcessor.
func (*queue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	select {
	case q.spans <- s:
	default:
		q.metrics.dropped.Inc()
	}
}

// ForceFlush implements sdktrace.SpanProcessor. Nobody needs it.
func (*queue) ForceFlush(context.Context) error { return nil }

// Shutdown implements sdktrace.SpanProcessor: it sends what there is until ctx ends.
func (q *queue) Shutdown(ctx context.Context) error {
	q.once.Do(func() { close(q.closing) })
	select {
	case <-q.sent:
	case <-ctx.Done():
		q.cancel()
		<-q.sent
	}
	q.cancel()
	return q.sink.Shutdown(ctx)
}

// run sends batches until the queue is closed and empty.
func (q *queue) run() {
	defer close(q.sent)
	var told time.Time
	for open := true; open; {
		var batch []sdktrace.ReadOnlySpan
		if batch, open = q.batch(); len(batch) == 0 {
			continue
		}
		if err := q.send(batch); err != nil && time.Since(told) > tellEvery {
			told = time.Now()
			q.log.Warn("the collector does not take spans; see gatewright_spans_total", "error", err)
		}
	}
}

// batch waits for spans. open is false when there will be no more.
func (q *queue) batch() (batch []sdktrace.ReadOnlySpan, open bool) {
	select {
	case s := <-q.spans:
		batch = append(batch, s)
	case <-q.closing:
		return q.rest(nil)
	}
	flush := time.NewTimer(flushEvery)
	defer flush.Stop()
	for len(batch) < maxBatch {
		select {
		case s := <-q.spans:
			batch = append(batch, s)
		case <-flush.C:
			return batch, true
		case <-q.closing:
			return q.rest(batch)
		}
	}
	return batch, true
}

// rest is a batch of what is there, once nobody waits for more.
func (q *queue) rest(batch []sdktrace.ReadOnlySpan) (_ []sdktrace.ReadOnlySpan, more bool) {
	for len(batch) < maxBatch {
		select {
		case s := <-q.spans:
			batch = append(batch, s)
		default:
			return batch, false
		}
	}
	return batch, true
}

func (q *queue) send(batch []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeout(q.ctx, sendTimeout)
	defer cancel()
	if err := q.sink.ExportSpans(ctx, batch); err != nil {
		q.metrics.failed.Add(float64(len(batch)))
		return err
	}
	q.metrics.sent.Add(float64(len(batch)))
	return nil
}
