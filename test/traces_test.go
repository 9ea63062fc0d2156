package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatewright/gatewright/internal/testenv"
)

const traced = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
{{.proxies}}
backends:
  app: {endpoints: ["{{.app}}"]}
  gone: {endpoints: ["{{.gone}}"]}
  collector: {endpoints: ["{{.collector}}"], protocol: {{.protocol}}}
tracing:
  otlp: {backend: collector}
  percent: {{.percent}}
  trust: {{.trust}}
auth:
  apiKey:
    keys: {}
limits:
  few: {key: [apiKey], tokenBucket: {capacity: 100, refill: 1/s}}
  one: {key: [clientIP], tokenBucket: {capacity: 1, refill: 1/h}}
routes:
  - {name: orders, match: {path: /orders/**}, auth: {anyOf: [{apiKey: keys}]}, limits: [few], to: [{backend: app}]}
  - {name: open, match: {path: /open/**}, auth: public, to: [{backend: app}]}
  - {name: once, match: {path: /once/**}, auth: public, limits: [one], to: [{backend: app}]}
  - {name: lost, match: {path: /lost/**}, auth: public, to: [{backend: gone}]}
{{- if eq .trust "nobody"}}
  - {name: watched, match: {path: /watched/**}, auth: public, to: [{backend: app}], tracing: {percent: 100}}
  - {name: unwatched, match: {path: /unwatched/**}, auth: public, to: [{backend: app}], tracing: {percent: 0}}
{{- end}}
`

// startTraced starts a gateway that sends spans to a collector; with lines of values in
// the place of the usual ones, each "name=value".
func startTraced(t *testing.T, app string, env []string, values ...string) (*gateway, *testenv.Collector) {
	t.Helper()
	c := testenv.StartCollector(t)
	all := map[string]string{
		"app": app, "gone": testenv.Addr(t), "collector": c.GRPC, "protocol": "grpc",
		"percent": "100", "trust": "nobody", "proxies": "",
	}
	for _, v := range values {
		name, value, _ := strings.Cut(v, "=")
		all[name] = value
	}
	if all["protocol"] != "grpc" {
		all["collector"] = c.HTTP
	}
	return start(t, setup{config: traced, values: all, env: env}), c
}

// backendWithSpans is a backend that records what it is asked, as its caller says.
func backendWithSpans(t *testing.T, collector func() string) service {
	t.Helper()
	var begin sync.Once
	var tracer trace.Tracer
	return backendThat(t, "app", func(w http.ResponseWriter, r *http.Request) bool {
		begin.Do(func() {
			sink, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(collector()), otlptracegrpc.WithInsecure())
			if err != nil {
				t.Error(err)
				return
			}
			sdk := sdktrace.NewTracerProvider(sdktrace.WithSyncer(sink), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())),
				sdktrace.WithResource(resource.NewSchemaless()))
			tracer = sdk.Tracer("backend")
		})
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		_, s := tracer.Start(ctx, "work", trace.WithSpanKind(trace.SpanKindServer))
		defer s.End()
		return false
	})
}

// awaited waits for spans of a trace that are as wanted; the gateway has others to send
// meanwhile, since an Envoy waits some seconds for five of them.
func awaited(t *testing.T, g *gateway, c *testenv.Collector, id, what string, as func([]testenv.Span) error) []testenv.Span {
	t.Helper()
	var spans []testenv.Span
	eventually(t, what, func() error {
		if _, err := try("GET", g.url("public", "/watched/more"), header{"Traceparent", "00-2af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}); err != nil {
			return err
		}
		spans = c.Spans(t, id)
		if err := as(spans); err != nil {
			return fmt.Errorf("%w: %+v", err, spans)
		}
		return nil
	})
	return spans
}

// spanOf is the span of a name in some scope, kind or with a parent, "" for any.
func spanOf(spans []testenv.Span, scope, kind, name, parent string) (testenv.Span, error) {
	for _, s := range spans {
		if strings.Contains(s.Scope, scope) && (kind == "" || s.Kind == kind) && (name == "" || s.Name == name) && (parent == "" || s.Parent == parent) {
			return s, nil
		}
	}
	return testenv.Span{}, fmt.Errorf("no span %q of %s, %s, below %q", name, scope, kind, parent)
}

// TestOneTrace: a request is one trace, from the edge to the backend, and the judge's
// part is in it with what that has waited for; and the log, the metrics and the trace say
// the same of it.
func TestOneTrace(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http1"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			var c *testenv.Collector
			redis := testenv.StartRedis(t)
			app := backendWithSpans(t, func() string { return c.GRPC })
			g, collector := startTraced(t, app.Addr(), []string{"GATEWRIGHT_REDIS_URL=" + redis.URL()}, "protocol="+protocol)
			c = collector
			key := g.createKey("--tenant", "acme", "--owner", "ann")
			got := get(t, g.url("public", "/orders/7?secret=hidden"), key.header()).ok(t)
			id := got.Header.Get("X-Trace-ID")
			if seen := got.echo(t).header("X-Trace-ID"); id == "" || seen != id {
				t.Fatalf("the trace is %q to the client and %q to the backend", id, seen)
			}
			var edge, check testenv.Span
			awaited(t, g, c, id, "the whole trace is there", func(spans []testenv.Span) (err error) {
				if edge, err = spanOf(spans, "envoy", "Server", "GET orders", ""); err != nil {
					return err
				}
				toBackend, err := spanOf(spans, "envoy", "Client", "GET app", edge.Span)
				if err != nil {
					return err
				}
				if _, err := spanOf(spans, "backend", "Server", "work", toBackend.Span); err != nil {
					return err
				}
				if check, err = spanOf(spans, "gatewright", "Server", "Check", ""); err != nil {
					return err
				}
				asked := slices.IndexFunc(spans, func(s testenv.Span) bool { return s.Span == check.Parent })
				if asked < 0 || spans[asked].Parent != edge.Span {
					return fmt.Errorf("Check is not below the edge")
				}
				if _, err := spanOf(spans, "gatewright", "Client", "redis", check.Span); err != nil {
					return err
				}
				_, err = spanOf(spans, "gatewright", "Client", "key store", check.Span)
				return err
			})
			line := g.logged("/orders/7")
			user := fmt.Sprint(line["user"])
			for name, want := range map[string]string{
				"route": "orders", "user": user, "key_id": key.ID, "tenant": "acme", "reason": "allowed",
			} {
				if fmt.Sprint(line[name]) != want || fmt.Sprint(edge.Attributes[name]) != want || fmt.Sprint(check.Attributes[name]) != want {
					t.Errorf("%s is %v in the log, %v at the edge, %v in Check, want %s", name, line[name], edge.Attributes[name], check.Attributes[name], want)
				}
			}
			if line["trace_id"] != id || fmt.Sprint(line["status"]) != "200" || fmt.Sprint(edge.Attributes["http.status_code"]) != "200" || edge.Attributes["backend"] != "app" {
				t.Errorf("the log says %v, the edge %v", line, edge.Attributes)
			}
			if url := fmt.Sprint(edge.Attributes["http.url"]); !strings.HasSuffix(url, "/orders/7") {
				t.Errorf("the span has the URL %s", url)
			}
			eventually(t, "it is counted", func() error {
				if !strings.Contains(g.metrics(), `gatewright_requests_total{backend="app",code="200",route="orders"} 1`) {
					return fmt.Errorf("no sample of it")
				}
				return nil
			})
			for _, secret := range []string{"hidden", key.Key} {
				if strings.Contains(c.Text(), secret) {
					t.Errorf("%s is in a span: %s", secret, c.Text())
				}
			}
			if edge.Service != "gatewright" || check.Service != "gatewright" {
				t.Errorf("the services are %s and %s", edge.Service, check.Service)
			}
		})
	}
}

// TestFailuresAreRecorded, whatever the share of the requests that are; as one span, by
// the ids that backend and client know. Whoever is denied has not failed.
func TestFailuresAreRecorded(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g, c := startTraced(t, app.Addr(), nil, "percent=0")
	forced := []header{{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, {"X-Envoy-Force-Trace", "1"}}
	good := get(t, g.url("public", "/open/1"), forced...).ok(t)
	get(t, g.url("public", "/once/1")).ok(t)
	denied := get(t, g.url("public", "/once/2"))
	failed := get(t, g.url("public", "/open/2?status=503&secret=hidden"))
	lost := get(t, g.url("public", "/lost/1"))
	watched := get(t, g.url("public", "/watched/2?status=503"))
	if denied.Status != 429 || failed.Status != 503 || lost.Status != 503 || watched.Status != 503 {
		t.Fatalf("the answers are %d, %d, %d, %d", denied.Status, failed.Status, lost.Status, watched.Status)
	}
	id := func(r reply) string { return r.Header.Get("X-Trace-ID") }
	for r, want := range map[*reply]struct{ route, flags string }{&failed: {"open", "<nil>"}, &lost: {"lost", "[connect-failure]"}} {
		spans := awaited(t, g, c, id(*r), "the failure is recorded", func(spans []testenv.Span) error {
			if len(spans) == 0 {
				return fmt.Errorf("no span")
			}
			return nil
		})
		s := spans[0]
		if len(spans) != 1 || s.Status != "Error" || s.Attributes["route"] != want.route || fmt.Sprint(s.Attributes["http.status_code"]) != "503" ||
			fmt.Sprint(s.Attributes["flags"]) != want.flags || s.Kind != "Server" || s.Parent != "" || s.End < s.Start {
			t.Errorf("of %s there is %+v", want.route, spans)
		}
		if age := time.Since(time.Unix(0, s.Start)); age < 0 || age > 5*time.Minute {
			t.Errorf("it began %s ago", age)
		}
	}
	// One that Envoy has recorded is not recorded a second time.
	spans := awaited(t, g, c, id(watched), "Envoy's own span is there", func(spans []testenv.Span) error {
		_, err := spanOf(spans, "envoy", "Server", "", "")
		return err
	})
	if _, err := spanOf(spans, "gatewright", "Server", "failed watched", ""); err == nil {
		t.Errorf("it is recorded twice: %+v", spans)
	}
	for _, r := range []reply{good, denied} {
		if spans := c.Spans(t, id(r)); len(spans) > 0 || id(r) == "" {
			t.Errorf("of trace %q there are %+v", id(r), spans)
		}
	}
	if strings.Contains(c.Text(), "hidden") {
		t.Errorf("the query is in a span: %s", c.Text())
	}
}

// TestTrustedContextsGoOn: where everybody is trusted, what a context says is done; one
// that is malformed costs no more than its trace.
func TestTrustedContextsGoOn(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g, c := startTraced(t, app.Addr(), nil, "percent=0", "trust=everybody")
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	get(t, g.url("public", "/open/1"), header{"Traceparent", "00-" + id + "-" + parent + "-01"}, header{"Tracestate", "a=b"}, header{"Baggage", "k=v"}).ok(t)
	last := *app.last.Load()
	if got := last.Get("Traceparent"); !strings.HasPrefix(got, "00-"+id+"-") || !strings.HasSuffix(got, "-01") || last.Get("Tracestate") != "a=b" || last.Get("Baggage") != "k=v" {
		t.Errorf("the backend sees %q, %q, %q", got, last.Get("Tracestate"), last.Get("Baggage"))
	}
	awaited(t, g, c, id, "the request is recorded below its client's span", func(spans []testenv.Span) error {
		_, err := spanOf(spans, "envoy", "Server", "GET open", parent)
		return err
	})
	// Without a context it is the gateway's percentage that counts.
	if got := get(t, g.url("public", "/open/3")).ok(t).echo(t).header("Traceparent"); !strings.HasSuffix(got, "-00") {
		t.Errorf("without a context the backend sees %q", got)
	}
	const other = "1af7651916cd43dd8448eb211c80319c"
	for _, bad := range []string{"00-" + other + "-" + parent + "-00", "00-" + other + "-" + parent, "", strings.Repeat("x", 1000)} {
		get(t, g.url("public", "/open/2"), header{"Traceparent", bad}).ok(t)
	}
	if spans := c.Spans(t, other); len(spans) > 0 {
		t.Errorf("what was not to be recorded is: %+v", spans)
	}
}

// TestProxiesDoNotForceTraces: a proxy that is believed about addresses has no say in what
// is recorded, unless it is trusted there, too; not by the ids that it gives to requests
// either, in which Envoys tell each other.
func TestProxiesDoNotForceTraces(t *testing.T) {
	t.Parallel()
	forced := []header{
		{"X-Request-ID", "80f198ee-5634-aba8-84fe-8b2a57d3eff7"}, {"X-Forwarded-For", "192.0.2.1"},
		{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
	app := backend(t, "app")
	g, c := startTraced(t, app.Addr(), nil, "percent=0", "proxies=trustedProxies: [127.0.0.0/8]")
	id := get(t, g.url("public", "/open/1"), forced...).ok(t).Header.Get("X-Trace-ID")
	if got := app.last.Load().Get("Traceparent"); id == "" || !strings.HasPrefix(got, "00-"+id) || !strings.HasSuffix(got, "-00") {
		t.Errorf("the backend sees %q of trace %q", got, id)
	}
	more := get(t, g.url("public", "/watched/1")).ok(t).Header.Get("X-Trace-ID")
	awaited(t, g, c, more, "a later one is recorded", func(spans []testenv.Span) error {
		_, err := spanOf(spans, "envoy", "Server", "", "")
		return err
	})
	if spans := c.Spans(t, id); len(spans) > 0 {
		t.Errorf("it is recorded: %+v", spans)
	}
}

// TestCollectorsThatStandStill, or are gone: requests go on, and what is lost is counted.
func TestCollectorsThatStandStill(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g, c := startTraced(t, app.Addr(), nil)
	key := g.createKey()
	url := g.url("public", "/orders/1")
	lost := func(result string) error {
		for line := range strings.Lines(g.metrics()) {
			if value, ok := strings.CutPrefix(line, `gatewright_spans_total{result="`+result+`"} `); ok && strings.TrimSpace(value) != "0" {
				return nil
			}
		}
		return fmt.Errorf("none is counted as %s", result)
	}
	ask := func() error {
		r, err := try(http.MethodGet, url, key.header())
		if err == nil && r.Status != http.StatusOK && r.Status != http.StatusTooManyRequests {
			err = errStatus(r)
		}
		return err
	}
	passes := func() {
		t.Helper()
		for range 50 {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
		}
	}
	passes()
	eventually(t, "spans are sent", func() error { return lost("sent") })
	if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Signal(syscall.SIGCONT) }()
	passes()
	eventually(t, "the loss is counted", func() error {
		passes()
		return lost("failed")
	})
	_ = c.Process.Kill()
	passes()
	get(t, g.url("public", "/open/1")).ok(t)
}

// TestZipkinAndDatadog get Envoy's spans by their own ways, and their contexts go on
// beside W3C's.
func TestZipkinAndDatadog(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]struct {
		line, path string
		onward     []string
	}{
		"zipkin":  {"zipkin: {backend: sink}", "/api/v2/spans", []string{"Traceparent", "X-B3-Traceid"}},
		"datadog": {"datadog: {backend: sink}", "/v0.4/traces", []string{"Traceparent", "X-Datadog-Trace-Id"}},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var got testenv.Output
			sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == want.path {
					_, _ = io.Copy(&got, r.Body)
				}
				w.WriteHeader(http.StatusOK)
				_, _ = w.Write([]byte("{}"))
			}))
			t.Cleanup(sink.Close)
			app := backend(t, "app")
			g := start(t, setup{config: `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  sink: {endpoints: ["{{.sink}}"]}
tracing: { ` + want.line + `, service: edge, percent: 100}
routes:
  - {name: open, match: {path: /open/**}, auth: public, to: [{backend: app}]}
`, values: map[string]string{"app": app.Addr(), "sink": sink.Listener.Addr().String()}})
			var id string
			eventually(t, "its spans are sent", func() error {
				r := get(t, g.url("public", "/open/1?secret=hidden")).ok(t)
				if id == "" {
					id = r.Header.Get("X-Trace-ID")
					for _, name := range want.onward {
						if r.echo(t).header(name) == "" {
							t.Errorf("the backend sees no %s: %v", name, r.echo(t).Headers)
						}
					}
					if parent := r.echo(t).header("Traceparent"); !strings.Contains(parent, id) {
						t.Errorf("the trace is %s, and the backend sees %s", id, parent)
					}
				}
				if text := got.String(); !strings.Contains(text, "GET open") || !strings.Contains(text, "/open/1") {
					return fmt.Errorf("it got %.500q", text)
				}
				return nil
			})
			if strings.Contains(got.String(), "hidden") {
				t.Errorf("the query is in a span: %.2000q", got.String())
			}
			if kind == "zipkin" && !strings.Contains(got.String(), id) {
				var spans []map[string]any
				_ = json.Unmarshal([]byte(got.String()), &spans)
				t.Errorf("trace %s is not among %v", id, spans)
			}
		})
	}
}
