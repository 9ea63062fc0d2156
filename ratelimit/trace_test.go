package ratelimit

import (
	"context"
	"maps"
	"testing"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestCallsHaveSpans: a call whose request is recorded has a span that says what was
// decided and nothing of what descriptors say, with Redis below it; by the answer that is
// read and written by hand, and by the other one. One that is not recorded has none.
func TestCallsHaveSpans(t *testing.T) {
	t.Parallel()
	taken := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(taken)).Tracer("test")
	recorded := true
	l := open(t, Settings{RedisURL: testenv.StartRedis(t).URL(), RedisTimeout: 10 * time.Second}, nil)
	service := serviceOf(l, perUser("l", 1, ""))
	service.Trace = func(ctx context.Context, name string) (context.Context, trace.Span) {
		if !recorded {
			return ctx, nil
		}
		return tracer.Start(ctx, name)
	}
	said := func() (out []map[attribute.Key]string) {
		for _, s := range taken.Ended() {
			attributes := map[attribute.Key]string{"name": s.Name()}
			if s.Status().Code == codes.Error {
				attributes["failed"] = "yes"
			}
			for _, a := range s.Attributes() {
				attributes[a.Key] = a.Value.AsString()
			}
			out = append(out, attributes)
		}
		taken.Reset()
		return out
	}
	byHand := func(r *rlsv3.RateLimitRequest) error {
		_, err := service.Answer(t.Context(), encoded(t, r), nil)
		return err
	}
	byGRPC := func(r *rlsv3.RateLimitRequest) error {
		_, err := service.ShouldRateLimit(t.Context(), r)
		return err
	}
	for user, answer := range map[string]func(*rlsv3.RateLimitRequest) error{"alice": byHand, "bob": byGRPC} {
		r := request(descriptor("limit=l", "user="+user))
		for _, want := range []map[attribute.Key]string{
			{"name": "ShouldRateLimit", "domain": Domain, "reason": "allowed"},
			{"name": "ShouldRateLimit", "domain": Domain, "reason": "rate-limited", "limit": "l"},
		} {
			if err := answer(r); err != nil {
				t.Fatal(err)
			}
			got := said()
			if last := got[len(got)-1]; !maps.Equal(last, want) {
				t.Errorf("%s: the span says %v, want %v", user, last, want)
			}
			if want["limit"] == "" && (len(got) != 2 || got[0]["name"] != "redis") {
				t.Errorf("%s: Redis was waited for, and the spans are %v", user, got)
			}
		}
		if err := answer(request(descriptor("limit=none"))); err == nil {
			t.Error("a limit that is not there is answered for")
		}
		if got := said(); len(got) != 1 || got[0]["failed"] != "yes" || got[0]["reason"] != "error" {
			t.Errorf("%s: of a call that failed it says %v", user, got)
		}
	}
	recorded = false
	if err := byGRPC(request(descriptor("limit=l", "user=carol"))); err != nil || len(said()) > 0 {
		t.Errorf("what is not recorded has a span, or: %v", err)
	}
}
