package bodies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// processor is a server in this process, and a client of it.
func processor(t *testing.T) (*Server, extprocv3.ExternalProcessorClient) {
	t.Helper()
	s := NewServer(Options{
		KnownRoute: func(name string) bool { return name == "r" }, Processors: 1,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	s.Register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, extprocv3.NewExternalProcessorClient(conn)
}

func begin(t *testing.T, c extprocv3.ExternalProcessorClient, task string) extprocv3.ExternalProcessor_ProcessClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	stream, err := c.Process(metadata.AppendToOutgoingContext(ctx, TaskHeader, task))
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func both() *Task {
	return &Task{
		Route:    "r",
		Request:  &Rewrite{Template: []byte(`["${body}","${claims.?a}","${caller.user}"]`), Most: 100},
		Response: &Rewrite{Template: []byte("${[body, response.status]}"), Most: 100, Status: [][2]int{{200, 299}}},
	}
}

func headers(pairs ...string) *extprocv3.HttpHeaders {
	h := &extprocv3.HttpHeaders{Headers: &corev3.HeaderMap{}}
	for i := 0; i < len(pairs); i += 2 {
		h.Headers.Headers = append(h.Headers.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return h
}

func onRequest(h *extprocv3.HttpHeaders) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: h}}
}

func onAnswer(origin string, h *extprocv3.HttpHeaders) *extprocv3.ProcessingRequest {
	details, _ := structpb.NewStruct(map[string]any{"response.code_details": origin})
	return &extprocv3.ProcessingRequest{
		Request:    &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: h},
		Attributes: map[string]*structpb.Struct{"envoy.filters.http.ext_proc": details},
	}
}

func ask(t *testing.T, s extprocv3.ExternalProcessor_ProcessClient, m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
	t.Helper()
	if err := s.Send(m); err != nil {
		t.Fatal(err)
	}
	answer, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestAnExchange: both bodies, each when it is whole, with what the judge tells; and the
// stream ends when nothing is left to do.
func TestAnExchange(t *testing.T) {
	t.Parallel()
	server, c := processor(t)
	s := begin(t, c, both().Encode())
	m := onRequest(headers(":method", "POST", ":path", "/x?y", "content-type", "application/json"))
	facts, _ := structpb.NewStruct(map[string]any{"told": map[string]any{"claims.a": "%C3%A4%25", "user": "ann"}})
	m.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{judgeFilter: facts}}
	if a := ask(t, s, m); a.GetRequestHeaders() == nil || a.GetModeOverride() != nil {
		t.Fatalf("of the request's headers: %v", a)
	}
	a := ask(t, s, &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: []byte("1.10"), EndOfStream: true}}})
	if got := string(a.GetRequestBody().GetResponse().GetBodyMutation().GetBody()); got != `[1.10,"ä%","ann"]` {
		t.Errorf("the request became %s", got)
	}
	a = ask(t, s, onAnswer(fromBackend, headers(":status", "201", "content-type", "application/json")))
	if a.GetModeOverride().GetResponseBodyMode() != extprocfilterv3.ProcessingMode_BUFFERED {
		t.Fatalf("the answer's body is not asked for: %v", a)
	}
	a = ask(t, s, &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: []byte(`"x"`), EndOfStream: true}}})
	common := a.GetResponseBody().GetResponse()
	if got := string(common.GetBodyMutation().GetBody()); got != `["x",201]` || string(common.GetHeaderMutation().GetSetHeaders()[0].GetHeader().GetRawValue()) != "9" {
		t.Errorf("the answer became %s: %v", got, common.GetHeaderMutation())
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	if n := testutil.ToFloat64(server.rewrites.WithLabelValues("r", "request", "rewritten")); n != 1 {
		t.Errorf("%v are counted", n)
	}
	server.Forget([]string{"r"})
	if n := testutil.CollectAndCount(server.rewrites); n != 0 {
		t.Errorf("%d series are left", n)
	}
}

// TestStreamsThatEndBeforeTheirTime do not end well: Envoy would let a body pass.
func TestStreamsThatEndBeforeTheirTime(t *testing.T) {
	t.Parallel()
	_, c := processor(t)
	for what, task := range map[string]string{
		"no JSON":        "x",
		"a bad template": (&Task{Route: "r", Request: &Rewrite{Template: []byte("${"), Most: 1}}).Encode(),
		"no bound":       (&Task{Route: "r", Request: &Rewrite{Template: []byte("1")}}).Encode(),
		"a large bound":  (&Task{Route: "r", Request: &Rewrite{Template: []byte("1"), Most: maxBody + 1}}).Encode(),
	} {
		s := begin(t, c, task)
		if _, err := s.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := c.Process(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no task: %v", err)
	}
	for what, m := range map[string]*extprocv3.ProcessingRequest{
		"trailers":        {Request: &extprocv3.ProcessingRequest_RequestTrailers{}},
		"nothing":         {},
		"a body unwanted": {Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: []byte("1")}}},
	} {
		s := begin(t, c, (&Task{Route: "r", Request: &Rewrite{Template: []byte("1"), Most: 1}}).Encode())
		if err := s.Send(m); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
	s = begin(t, c, both().Encode())
	ask(t, s, onRequest(headers("content-type", "application/json")))
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("a request that ends: %v", err)
	}
}

// TestAnswersThatAreNotMeant end the exchange as they are: those of other statuses, and
// those that no backend has given.
func TestAnswersThatAreNotMeant(t *testing.T) {
	t.Parallel()
	_, c := processor(t)
	for what, m := range map[string]*extprocv3.ProcessingRequest{
		"another status": onAnswer(fromBackend, headers(":status", "404", "content-type", "application/json")),
		"Envoy's":        onAnswer("upstream_reset", headers(":status", "200", "content-type", "application/json")),
		"nobody's":       {Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: headers(":status", "200")}},
	} {
		s := begin(t, c, both().Encode())
		a := ask(t, s, m)
		if a.GetResponseHeaders() == nil || a.GetResponseHeaders().GetResponse().GetHeaderMutation() != nil || a.GetModeOverride() != nil {
			t.Errorf("%s: %v", what, a)
		}
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the stream ended with %v", what, err)
		}
	}
}

// TestJSONByItsType: what is JSON in UTF-8, and says so once.
func TestJSONByItsType(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{
		"application/json": true, "Application/JSON": true, "application/json; charset=UTF-8": true, `application/ld+json; charset="utf-8"; q=1`: true,
		"": false, "text/json": false, "application/jsonx": false, "json": false, "application/json; charset=utf-16": false, "application/json,text/html": false,
		"application/json; charset": false, "application/+jsonp": false,
	} {
		if got := isJSON(kind); got != want {
			t.Errorf("%q: %t", kind, got)
		}
	}
}

// TestTasksAreForgotten: as many are remembered as may be, and each is compiled once.
func TestTasksAreForgotten(t *testing.T) {
	t.Parallel()
	all := tasks{known: map[string]*Task{}}
	of := func(i int) string {
		return (&Task{Route: fmt.Sprint("r", i), Request: &Rewrite{Template: []byte("1"), Most: 1}}).Encode()
	}
	first, err := all.of(of(0))
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := all.of(of(0)); again != first {
		t.Error("a task is compiled twice")
	}
	for i := range maxTasks + 10 {
		if _, err := all.of(of(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(all.known); n != maxTasks {
		t.Errorf("%d are remembered", n)
	}
	text := (&Task{Route: "r", Request: &Rewrite{Template: []byte("%ü\n\x00"), Most: 1}}).Encode()
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '%' }) {
		t.Errorf("no header could have %q", text)
	}
}
