package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// TestClientsDoNotDecideOnTraces: whatever a client sends, no span is exported for
// it, and the backend sees one trace that the gateway has begun, that nobody has
// sampled, and nothing else of tracing.
func TestClientsDoNotDecideOnTraces(t *testing.T) {
	t.Parallel()
	g := prepared(t, setup{config: identity, values: map[string]string{"app": backend(t, "app").Addr()}})
	control := filepath.Join(testenv.ShortDir(t), "grpc")
	g.env = append(g.env, "GATEWRIGHT_GRPC_ADDR=unix:"+control)
	g.launch("serve")
	g.waitReady()
	t.Cleanup(g.stop)
	sink := startSpanSink(t, "unix:"+control)
	access := startEnvoyAt(t, g, sink.addr)
	g.stdout = access

	const id = "0af7651916cd43dd8448eb211c80319c"
	sampled := header{"Traceparent", "00-" + id + "-b7ad6b7169203331-01"}
	var baggage []header
	for i := range 50 { // of 100 entries; Envoy takes no more than 100 headers
		baggage = append(baggage, header{"Baggage", fmt.Sprintf("key%d=%s,also%d=x", i, strings.Repeat("v", 100), i)})
	}
	var foreign []header
	for _, name := range config.TracingHeaders() {
		foreign = append(foreign, header{name, "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"})
	}
	for i, headers := range [][]header{
		nil,
		{sampled},
		{sampled, {"X-Envoy-Force-Trace", "true"}, {"X-Client-Trace-Id", "forced"}},
		{{"X-Envoy-Force-Trace", "true"}, {"X-Client-Trace-Id", "forced"}, {"X-Request-ID", "80f198ee-5634-9ba8-84fe-8b2a57d3eff7"}},
		append(foreign, sampled),
		foreign,
		append(baggage, sampled),
		{sampled, {"Tracestate", strings.Repeat("a=b,", 10_000)}},
		{{"Traceparent", strings.Repeat("0", 40_000)}},
		{{"Traceparent", "00-" + id + "-b7ad6b7169203331-01-" + strings.Repeat("x", 1000)}},
		{{"Traceparent", "00-" + id + "-b7ad6b7169203331-zz"}},
		{{"Traceparent", "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01"}},
		{{"Traceparent", "00-" + id + "-0000000000000000-01"}},
		{{"Traceparent", "00-" + strings.Repeat(`"`, 32) + "-b7ad6b7169203331-01"}},
		{{"Traceparent", ""}},
		{sampled, {"Traceparent", "00-11111111111111111111111111111111-2222222222222222-01"}},
	} {
		for _, route := range []string{"public", "limited"} {
			path := fmt.Sprintf("/%s/%d", route, i)
			got := get(t, g.url("public", path), headers...).ok(t).echo(t)
			parent := regexp.MustCompile("^00-([0-9a-f]{32})-([0-9a-f]{16})-00$").FindStringSubmatch(got.header("Traceparent"))
			if parent == nil || strings.Trim(parent[1], "0") == "" || parent[1] == id {
				t.Errorf("%s: the backend sees the traceparent %.200q", path, got.header("Traceparent"))
				continue
			}
			if line := g.logged(path); got.header("X-Trace-ID") != parent[1] || line["trace_id"] != parent[1] {
				t.Errorf("%s: the trace is %s, X-Trace-ID %q, in the log %v", path, parent[1], got.header("X-Trace-ID"), line["trace_id"])
			}
			size := 0
			for name, values := range got.Headers {
				name := strings.ToLower(name)
				if name == "traceparent" || name == "tracestate" && values[0] == "" {
					continue // Envoy's own
				}
				if slices.Contains(config.TracingHeaders(), name) || name == "x-envoy-force-trace" {
					t.Errorf("%s: the backend sees %s: %.200q", path, name, values)
				}
				size += len(name) + len(strings.Join(values, ""))
			}
			if size > 2048 {
				t.Errorf("%s: the backend sees %d bytes of headers", path, size)
			}
		}
	}
	if sink.calls.Load() == 0 {
		t.Error("the judge was not asked by way of the sink: no span would be, either")
	}
	if n := sink.spans.Load(); n != 0 {
		t.Errorf("%d spans were exported", n)
	}
	sink.takesSpans(t)
}

// startEnvoyAt starts an Envoy that reaches the gateway at an address, and
// returns its access log when it serves.
func startEnvoyAt(t *testing.T, g *gateway, addr string) *testenv.Output {
	t.Helper()
	log := &testenv.Output{}
	testenv.StartEnvoy(t, testenv.EnvoyRun{
		Config: g.run("bootstrap", "--admin", "127.0.0.1:0", "--node", "apart", "--control", addr),
		Stdout: log, Stderr: g.stderr, Args: []string{"--file-flush-interval-msec", "50"},
	})
	eventually(t, "Envoy serves", func() error {
		r, err := try("GET", g.url("public", "/public/up"))
		if err == nil && r.Status != 200 {
			err = errStatus(r)
		}
		return err
	})
	return log
}

// spanSink stands before the gateway's gRPC port, where Envoy's tracer sends its
// spans: it takes those itself, and hands all else on.
type spanSink struct {
	coltrace.UnimplementedTraceServiceServer
	addr         string
	spans, calls atomic.Int64
}

func startSpanSink(t *testing.T, gateway string) *spanSink {
	t.Helper()
	conn, err := grpc.NewClient(gateway, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &spanSink{addr: listener.Addr().String()}
	server := grpc.NewServer(grpc.ForceServerCodecV2(asIs{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		s.calls.Add(1)
		return handOn(stream, conn)
	}))
	coltrace.RegisterTraceServiceServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		conn.Close()
	})
	return s
}

// Export implements the collector's service.
func (s *spanSink) Export(_ context.Context, r *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	for _, resource := range r.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			s.spans.Add(int64(len(scope.GetSpans())))
		}
	}
	return &coltrace.ExportTraceServiceResponse{}, nil
}

// takesSpans checks that a span that is sent is counted.
func (s *spanSink) takesSpans(t *testing.T) {
	t.Helper()
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	one := &coltrace.ExportTraceServiceRequest{}
	// resource_spans, scope_spans, spans: one, which says nothing.
	if err := proto.Unmarshal([]byte{0x0a, 4, 0x12, 2, 0x12, 0}, one); err != nil {
		t.Fatal(err)
	}
	before := s.spans.Load()
	if _, err := coltrace.NewTraceServiceClient(conn).Export(t.Context(), one); err != nil || s.spans.Load() != before+1 {
		t.Errorf("the sink takes no spans: %v", err)
	}
}

// handOn joins a stream of Envoy's with one to the gateway.
func handOn(from grpc.ServerStream, to *grpc.ClientConn) error {
	method, _ := grpc.MethodFromServerStream(from)
	ctx, cancel := context.WithCancel(from.Context())
	defer cancel()
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		md = md.Copy()
		md.Delete(":authority")
		ctx = metadata.NewOutgoingContext(ctx, md)
	}
	out, err := to.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodecV2(asIs{}))
	if err != nil {
		return err
	}
	go func() {
		for {
			m := new(raw)
			if err := from.RecvMsg(m); err != nil {
				_ = out.CloseSend() // Envoy has said all, or is gone: the context ends
				return
			}
			if out.SendMsg(m) != nil {
				return // RecvMsg says why
			}
		}
	}()
	for {
		m := new(raw)
		if err := out.RecvMsg(m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := from.SendMsg(m); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
	}
}

// raw is a message that nobody reads.
type raw []byte

// asIs is protobuf's codec, but for messages that are only handed on.
type asIs struct{}

func (asIs) Name() string { return "proto" }

func (asIs) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*raw); ok {
		return mem.BufferSlice{mem.SliceBuffer(*m)}, nil
	}
	return encoding.GetCodecV2("proto").Marshal(v)
}

func (asIs) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*raw); ok {
		*m = data.Materialize()
		return nil
	}
	return encoding.GetCodecV2("proto").Unmarshal(data, v)
}
