package xds

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// rig is a Server on a gRPC port in memory.
type rig struct {
	*Server
	listener *bufconn.Listener
}

func newRig(t *testing.T) rig {
	t.Helper()
	server := NewServer(t.Context(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	server.pause = time.Millisecond
	server.linger = 20 * time.Millisecond
	r := rig{Server: server, listener: bufconn.Listen(1 << 20)}
	g := grpc.NewServer()
	server.Register(g)
	go g.Serve(r.listener) //nolint:errcheck // ends with Stop
	t.Cleanup(g.Stop)
	return r
}

// fakeEnvoy speaks incremental ADS as Envoy does: it subscribes to all clusters
// and listeners, to the endpoints of each cluster, and to the route table; and
// it answers every response, as told.
type fakeEnvoy struct {
	t      *testing.T
	node   string
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	leave  context.CancelFunc

	mu sync.Mutex // guards all below
	// events are "+Cluster a", "-Cluster a" in the order of arrival.
	events []string
	// refuse is what to say to a response that has this resource.
	refuse map[string]string
	// hold keeps answers back for these types, until release.
	hold map[resource.Type]bool
	held []*discoveryv3.DeltaDiscoveryRequest
}

// clusters are those that are served.
func (r rig) clusters() map[string]types.Resource {
	return r.caches[resource.ClusterType].(*cachev3.LinearCache).GetResources()
}

// connect starts an Envoy, and returns when it has subscribed to clusters and
// listeners.
func (r rig) connect(t *testing.T, node string) *fakeEnvoy {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:xds",
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return r.listener.Dial() }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, leave := context.WithCancel(t.Context())
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	e := &fakeEnvoy{t: t, node: node, stream: stream, leave: leave,
		refuse: map[string]string{}, hold: map[resource.Type]bool{}}
	e.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType})
	e.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.ListenerType})
	go e.serve()
	e.await(func([]string) bool { return r.tracker.connected() > 0 })
	return e
}

func (e *fakeEnvoy) send(m *discoveryv3.DeltaDiscoveryRequest) {
	m.Node = &corev3.Node{Id: e.node}
	if err := e.stream.Send(m); err != nil && e.stream.Context().Err() == nil {
		e.t.Errorf("fake Envoy: %v", err)
	}
}

func (e *fakeEnvoy) serve() {
	subscribedRoutes := false
	for {
		m, err := e.stream.Recv()
		if err != nil {
			return
		}
		e.note(m)
		e.answer(m)
		switch m.GetTypeUrl() {
		case resource.ClusterType:
			if names := endpointNames(m); len(names) > 0 {
				e.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.EndpointType, ResourceNamesSubscribe: names})
			}
		case resource.ListenerType:
			if !subscribedRoutes {
				subscribedRoutes = true
				e.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.RouteType, ResourceNamesSubscribe: []string{"routes-service"}})
			}
		}
	}
}

// endpointNames are the EDS names of the clusters in a response.
func endpointNames(m *discoveryv3.DeltaDiscoveryResponse) []string {
	var out []string
	for _, r := range m.GetResources() {
		c := &clusterv3.Cluster{}
		if r.GetResource().UnmarshalTo(c) == nil && c.GetEdsClusterConfig() != nil {
			out = append(out, c.GetEdsClusterConfig().GetServiceName())
		}
	}
	return out
}

func (e *fakeEnvoy) note(m *discoveryv3.DeltaDiscoveryResponse) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var names []string
	for _, r := range m.GetResources() {
		names = append(names, "+"+shortType(m.GetTypeUrl())+" "+withoutHash(r.GetName()))
	}
	for _, name := range m.GetRemovedResources() {
		names = append(names, "-"+shortType(m.GetTypeUrl())+" "+withoutHash(name))
	}
	slices.Sort(names)
	e.events = append(e.events, names...)
}

// withoutHash is the name of an EDS resource without its cluster's hash.
func withoutHash(name string) string {
	for i := range len(name) {
		if name[i] == '@' {
			return name[:i]
		}
	}
	return name
}

// refuses has the Envoy refuse every response with a resource of that name.
func (e *fakeEnvoy) refuses(name, says string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refuse[name] = says
}

func (e *fakeEnvoy) answer(m *discoveryv3.DeltaDiscoveryResponse) {
	e.mu.Lock()
	reply := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: m.GetTypeUrl(), ResponseNonce: m.GetNonce()}
	for _, r := range m.GetResources() {
		if says := e.refuse[r.GetName()]; says != "" {
			reply.ErrorDetail = &spb.Status{Message: says}
		}
	}
	held := e.hold[m.GetTypeUrl()]
	if held {
		e.held = append(e.held, reply)
	}
	e.mu.Unlock()
	if !held {
		e.send(reply)
	}
}

// release sends the answers that were held back, and holds none any more.
func (e *fakeEnvoy) release() {
	e.mu.Lock()
	held := e.held
	e.held, e.hold = nil, map[resource.Type]bool{}
	e.mu.Unlock()
	for _, m := range held {
		e.send(m)
	}
}

// seen returns the events so far, and forgets them.
func (e *fakeEnvoy) seen() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.events
	e.events = nil
	return out
}

// await waits until the events so far satisfy a condition.
func (e *fakeEnvoy) await(done func(events []string) bool) {
	e.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		e.mu.Lock()
		events := slices.Clone(e.events)
		e.mu.Unlock()
		if done(events) {
			return
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("%s: waited in vain; events: %v", e.node, events)
		}
		time.Sleep(time.Millisecond)
	}
}

// has waits for one event.
func (e *fakeEnvoy) has(event string) {
	e.t.Helper()
	e.await(func(events []string) bool { return slices.Contains(events, event) })
}

// resources are a config of backends, each with a route, on one listener.
func resources(t *testing.T, backends ...string) Resources {
	t.Helper()
	return build(t, configWith(backends...))
}

func isBefore(events []string, first, second string) error {
	i, j := slices.Index(events, first), slices.Index(events, second)
	if i < 0 || j < 0 || i > j {
		return fmt.Errorf("want %q before %q in %v", first, second, events)
	}
	return nil
}
