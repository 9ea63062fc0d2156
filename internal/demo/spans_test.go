package demo

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// TestSpansAreBelowTheCallers: a request that its caller records has a span below the
// caller's, under the service's name; no other has one.
func TestSpansAreBelowTheCallers(t *testing.T) {
	var taken []*tracev1.ResourceSpans
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var all coltrace.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &all)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		taken = append(taken, all.GetResourceSpans()...)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	handler, end, err := Traced(t.Context(), "users", NewBackend("users"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, handler)
	const id, parent, trace = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "Traceparent"
	get(t, s.URL()+"/users/1?status=503", trace, "00-"+id+"-"+parent+"-01")
	get(t, s.URL()+"/users/2", trace, "00-"+id+"-"+parent+"-00")
	get(t, s.URL()+"/users/3", trace, "nonsense")
	get(t, s.URL()+"/healthz")
	if err := end(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if len(taken) != 1 || len(taken[0].GetScopeSpans()) != 1 || len(taken[0].GetScopeSpans()[0].GetSpans()) != 1 {
		t.Fatalf("there is not one span: %v", taken)
	}
	span := taken[0].GetScopeSpans()[0].GetSpans()[0]
	said := map[string]any{"service.name": taken[0].GetResource().GetAttributes()[0].GetValue().GetStringValue()}
	for _, a := range span.GetAttributes() {
		said[a.GetKey()] = a.GetValue().GetStringValue()
		if n := a.GetValue().GetIntValue(); n != 0 {
			said[a.GetKey()] = n
		}
	}
	got := []any{hex.EncodeToString(span.GetTraceId()), hex.EncodeToString(span.GetParentSpanId()), span.GetName(), span.GetKind(), span.GetStatus().GetCode(),
		said["service.name"], said["http.request.method"], said["url.path"], said["http.response.status_code"]}
	want := []any{id, parent, "GET", tracev1.Span_SPAN_KIND_SERVER, tracev1.Status_STATUS_CODE_ERROR, "users", "GET", "/users/1", int64(503)}
	if !slices.Equal(got, want) {
		t.Errorf("the span is %v, want %v", got, want)
	}
}

// TestNoCollectorNoSpans: where nobody takes spans, a handler stays as it is.
func TestNoCollectorNoSpans(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "") // as docker-compose.yaml has it in the small set
	b := NewBackend("users")
	handler, end, err := Traced(t.Context(), "users", b)
	if err != nil || handler != http.Handler(b) || end(t.Context()) != nil {
		t.Errorf("it is another one: %v", err)
	}
}
