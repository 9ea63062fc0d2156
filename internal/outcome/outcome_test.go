package outcome

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/internal/door"
)

// TestStreamReachesSinks sends entries as Envoy does, over gRPC: on connections of
// their own, and on those of clients that have one for everything.
func TestStreamReachesSinks(t *testing.T) {
	for name, register := range map[string]func(*door.Server, *Server){
		"on the loop": func(d *door.Server, s *Server) {
			d.HandleStream(accesslogv3.AccessLogService_StreamAccessLogs_FullMethodName, func() door.Stream { return s.Stream() })
		},
		"by grpc-go": func(d *door.Server, s *Server) { s.Register(d) },
	} {
		t.Run(name, func(t *testing.T) { streamReachesSinks(t, register) })
	}
}

func streamReachesSinks(t *testing.T, register func(*door.Server, *Server)) {
	got := make(chan Outcome, 10)
	listener := bufconn.Listen(1 << 16)
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	entrance, err := door.New(door.Settings{}, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	server, s := entrance.NewServer(), NewServer(log, reg, func(o Outcome) { got <- o })
	register(server, s)
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)

	conn, err := grpc.NewClient("passthrough:bufconn",
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	stream, err := accesslogv3.NewAccessLogServiceClient(conn).StreamAccessLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&accesslogv3.StreamAccessLogsMessage{
		LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{
			LogEntry: []*accesslogdatav3.HTTPAccessLogEntry{{
				CommonProperties: &accesslogdatav3.AccessLogCommon{
					RouteName:                   "get-users",
					UpstreamCluster:             "users-v2",
					TimeToLastDownstreamTxByte:  durationpb.New(30 * time.Millisecond),
					TimeToFirstUpstreamRxByte:   durationpb.New(20 * time.Millisecond),
					UpstreamRemoteAddress:       &corev3.Address{},
					UpstreamRequestAttemptCount: 2,
					ResponseFlags:               &accesslogdatav3.ResponseFlags{UpstreamConnectionFailure: true, UpstreamRetryLimitExceeded: true},
					Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"envoy.filters.http.ext_authz": {
						Fields: map[string]*structpb.Value{
							"in_flight": structpb.NewStringValue("a b"),
							"probe":     structpb.NewStringValue("users.7"),
							"broken":    structpb.NewStringValue("users-v3"),
							"charged":   structpb.NewStringValue("per-user"),
						},
					}}},
				},
				Response: &accesslogdatav3.HTTPResponseProperties{
					ResponseCode:     wrapperspb.UInt32(503),
					ResponseTrailers: map[string]string{"grpc-status": "14"},
				},
			}, {CommonProperties: &accesslogdatav3.AccessLogCommon{RouteName: "still going on", AccessLogType: accesslogdatav3.AccessLogType_DownstreamPeriodic}}, {}},
		}},
	}); err != nil {
		t.Fatal(err)
	}
	want := Outcome{
		Route: "get-users", Backend: "users-v2", Upstream: true, Attempts: 2, Status: 503, GRPCStatus: 14,
		Flags: ConnectFailure | RetriesExceeded, Duration: 30 * time.Millisecond, FirstByte: 20 * time.Millisecond,
		InFlight: "a b", Breaker: "users.7", Broken: "users-v3", Charged: "per-user",
	}
	if o := <-got; o != want {
		t.Errorf("got %+v, want %+v", o, want)
	}
	if o := <-got; o != (Outcome{GRPCStatus: GRPCUnknown}) {
		t.Errorf("an empty entry: got %+v, want nothing known", o)
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		t.Errorf("the end: %v", err)
	}
}

func TestMetricsAreBoundedByTheConfig(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry(), onlyUsers{})
	m.Observe(Outcome{Route: "users", Backend: "users-v1", Upstream: true, Status: 200})
	m.Observe(Outcome{Route: "users", Backend: "users-v1", Upstream: true, Status: 200})
	m.Observe(Outcome{Route: "users", Status: 429})
	m.Observe(Outcome{Route: "nobody knows", Backend: "me neither", Upstream: true, Status: 99999})
	want := `
# HELP gatewright_requests_total Requests that Envoy has answered, by route, backend (empty: none was asked) and HTTP status (0: the client left).
# TYPE gatewright_requests_total counter
gatewright_requests_total{backend="",code="429",route="users"} 1
gatewright_requests_total{backend="other",code="0",route="other"} 1
gatewright_requests_total{backend="users-v1",code="200",route="users"} 2
`
	if err := testutil.CollectAndCompare(m.requests, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	m.Forget([]string{"users"}, []string{"users-v1"})
	if n := testutil.CollectAndCount(m.requests); n != 1 {
		t.Errorf("%d series are left after the route went, want the one of %q", n, Other)
	}
}

// onlyUsers are the names of a config with one route to one backend.
type onlyUsers struct{}

func (onlyUsers) HasRoute(name string) bool   { return name == "users" }
func (onlyUsers) HasBackend(name string) bool { return name == "users-v1" }
