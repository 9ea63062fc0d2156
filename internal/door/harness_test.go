package door_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	deltav3 "github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	sotwv3 "github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/internal/door"
	"github.com/gatewright/gatewright/internal/outcome"
	"github.com/gatewright/gatewright/internal/testenv"
)

// house is a gRPC server behind a door, with the services that stand behind
// it in the gateway; in place of our xDS server there is go-control-plane's,
// which speaks both variants.
type house struct {
	*door.Door
	t        testing.TB
	ca       *testenv.CA
	settings door.Settings
	addr     string // of TCP
	socket   string // beside it
	log      *testenv.Output
	registry *prometheus.Registry
	outcomes chan outcome.Outcome
}

// withTLS makes the files of a door, signed by an authority of its own.
func withTLS(t testing.TB) (*testenv.CA, door.Settings) {
	t.Helper()
	dir := t.TempDir()
	s := door.Settings{
		Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem"),
	}
	ca := testenv.NewCA(t)
	ca.IssueFiles(testenv.Leaf{DNS: []string{"gatewright.internal"}}, s.Cert, s.Key)
	testenv.ReplaceFile(t, s.CA, ca.PEM)
	return ca, s
}

// build opens a house. It is closed when the test ends.
func build(t testing.TB, ca *testenv.CA, s door.Settings, change ...func(*door.Door)) *house {
	t.Helper()
	h := &house{t: t, ca: ca, settings: s, log: &testenv.Output{}, registry: prometheus.NewRegistry(), outcomes: make(chan outcome.Outcome, 16)}
	var err error
	if h.Door, err = door.New(s, slog.New(slog.NewTextHandler(h.log, nil)), h.registry); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(h.Door)
	}
	server := h.NewServer()
	ctx, cancel := context.WithCancel(context.Background())
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, newDiscovery(ctx, t))
	judge := authz.New(authz.Options{Policies: noPolicies{}})
	authz.Register(server, judge)
	server.Handle(authv3.Authorization_Check_FullMethodName, judge.Answer)
	server.Handle(laterMethod, answerLater)
	ends := outcome.NewServer(slog.New(slog.DiscardHandler), h.registry, func(o outcome.Outcome) { h.outcomes <- o })
	ends.Register(server)
	server.HandleStream(accesslogv3.AccessLogService_StreamAccessLogs_FullMethodName, func() door.Stream { return ends.Stream() })

	var wg sync.WaitGroup
	h.socket = filepath.Join(testenv.ShortDir(t), "grpc")
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": h.socket} {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		if network == "tcp" {
			h.addr = l.Addr().String()
		}
		wg.Go(func() {
			// A test may end before it has begun.
			if err := server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				t.Errorf("serving %s: %v", network, err)
			}
		})
	}
	wg.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Errorf("following the files: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		server.Stop()
		wg.Wait()
		if t.Failed() {
			t.Logf("log:\n%s", h.log)
		}
	})
	return h
}

// discovery serves one cluster to every node.
type discovery struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	sotw  sotwv3.Server
	delta deltav3.Server
}

func newDiscovery(ctx context.Context, t testing.TB) *discovery {
	t.Helper()
	c := cachev3.NewLinearCache(resource.ClusterType)
	if err := c.UpdateResource("app", &clusterv3.Cluster{Name: "app"}); err != nil {
		t.Fatal(err)
	}
	return &discovery{sotw: sotwv3.NewServer(ctx, c, nil), delta: deltav3.NewServer(ctx, c, nil)}
}

func (d *discovery) StreamAggregatedResources(s discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return d.sotw.StreamHandler(s, resource.AnyType)
}

func (d *discovery) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return d.delta.DeltaStreamHandler(s, resource.AnyType)
}

// client is a connection of the client that shows this certificate.
func (h *house) client(cert ...tls.Certificate) *grpc.ClientConn {
	h.t.Helper()
	return h.clientWith(&tls.Config{Certificates: cert, RootCAs: h.ca.Pool(), ServerName: "gatewright.internal"})
}

func (h *house) clientWith(c *tls.Config) *grpc.ClientConn {
	h.t.Helper()
	return h.dial(h.addr, credentials.NewTLS(c))
}

// local is a client on the Unix socket.
func (h *house) local() *grpc.ClientConn { return h.dial("unix:"+h.socket, insecure.NewCredentials()) }

func (h *house) dial(target string, creds credentials.TransportCredentials) *grpc.ClientConn {
	h.t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

// refused is how often that was for a reason.
func (h *house) refused(reason string) float64 {
	h.t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "gatewright_grpc_refused_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	h.t.Fatalf("no series for %q", reason)
	return 0
}

// expectMetric compares one family of the registry.
func (h *house) expectMetric(name, want string) error {
	return testutil.GatherAndCompare(h.registry, strings.NewReader(want), name)
}

// check makes the simplest unary call.
func check(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{})
	return err
}

// deltaFirst opens an incremental stream and returns it after its first answer.
func deltaFirst(ctx context.Context, conn *grpc.ClientConn, node *corev3.Node) (discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient, error) {
	s, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	// An error of Send is that of the next Recv.
	_ = s.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: resource.ClusterType})
	return s, answered(s)
}

// answered waits for the next answer on an incremental stream.
func answered(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient) error {
	m, err := s.Recv()
	if err == nil && len(m.GetResources()) != 1 {
		err = fmt.Errorf("an answer with %d clusters, want 1", len(m.GetResources()))
	}
	return err
}

// accessLog sends access logs with these identifiers, one message each, and
// returns what became of the stream.
func accessLog(ctx context.Context, conn *grpc.ClientConn, ids ...*accesslogv3.StreamAccessLogsMessage_Identifier) error {
	s, err := accesslogv3.NewAccessLogServiceClient(conn).StreamAccessLogs(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		_ = s.Send(&accesslogv3.StreamAccessLogsMessage{Identifier: id})
	}
	_, err = s.CloseAndRecv()
	return err
}

// soon bounds what a test waits for.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a condition.
var eventually = testenv.Eventually

// noPolicies is an authz.PolicySource that knows none.
type noPolicies struct{}

func (noPolicies) Policy(string) *authz.Policy { return nil }
