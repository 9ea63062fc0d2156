package xds

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	deltav3 "github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// Server serves what has been published to every Envoy that connects, by the
// incremental variant of ADS: the one whose answers name each resource with a
// version of its own, so that what did not change is not sent, and what was
// refused is not sent again.
//
// One linear cache a type is shared by all Envoys; nothing is kept for each
// but its stream.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	delta   deltav3.Server
	caches  map[resource.Type]*cachev3.LinearCache
	tracker *tracker
	log     *slog.Logger
	metrics serverMetrics

	ctx    context.Context // ends all streams
	linger time.Duration   // defaultLinger, but in tests

	publish chan struct{} // holds one token; guards all below
	current Resources     // what the caches hold
	// publications counts them.
	publications int
}

type serverMetrics struct {
	connected prometheus.GaugeFunc
	acks      *prometheus.CounterVec
	nacks     *prometheus.CounterVec
}

// NewServer returns a server that has published nothing. It must not be
// reachable before the first Publish: an Envoy takes an empty answer for an
// order to drop its listeners. The context ends all streams.
func NewServer(ctx context.Context, log *slog.Logger, reg prometheus.Registerer) *Server {
	s := &Server{
		caches:  map[resource.Type]*cachev3.LinearCache{},
		tracker: newTracker(),
		log:     log,
		ctx:     ctx,
		linger:  defaultLinger,
		publish: make(chan struct{}, 1),
	}
	mux := &cachev3.MuxCache{
		ClassifyDelta: func(r *cachev3.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        map[string]cachev3.Cache{},
	}
	for _, t := range Types {
		s.caches[t] = cachev3.NewLinearCache(t, cachev3.WithLogger(quietLogger{log}))
		mux.Caches[t] = s.caches[t]
	}
	s.delta = deltav3.NewServer(ctx, mux, (*callbacks)(s))
	s.metrics = newServerMetrics(s.tracker, reg)
	return s
}

func newServerMetrics(t *tracker, reg prometheus.Registerer) serverMetrics {
	m := serverMetrics{
		connected: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatewright_xds_connected_envoys",
			Help: "Envoys with an open xDS stream.",
		}, func() float64 { return float64(t.connected()) }),
		acks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_xds_acks_total",
			Help: "Responses that an Envoy has accepted, by resource type.",
		}, []string{"type"}),
		nacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_xds_nacks_total",
			Help: "Responses that an Envoy has refused, by resource type.",
		}, []string{"type"}),
	}
	reg.MustRegister(m.connected, m.acks, m.nacks)
	return m
}

// Register offers the server on a gRPC server. Only the ADS service is: with
// the services of single types come unary methods that a stream interceptor
// does not guard.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(r, s)
}

// DeltaAggregatedResources serves one Envoy.
func (s *Server) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.delta.DeltaStreamHandler(stream, resource.AnyType)
}

// StreamAggregatedResources refuses the state-of-the-world variant.
func (s *Server) StreamAggregatedResources(discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return status.Error(codes.Unimplemented,
		"state-of-the-world xDS is not yet supported: set api_type: DELTA_GRPC in ads_config (see `gatewright bootstrap`)")
}

// callbacks are the Server as go-control-plane calls it.
type callbacks Server

func (c *callbacks) OnDeltaStreamOpen(_ context.Context, id int64, _ string) error {
	c.tracker.opened(id)
	return nil
}

func (c *callbacks) OnDeltaStreamClosed(id int64, node *corev3.Node) {
	c.tracker.closed(id)
	c.log.Info("envoy disconnected", "node", node.GetId())
}

func (c *callbacks) OnStreamDeltaRequest(id int64, req *discoveryv3.DeltaDiscoveryRequest) error {
	if _, ok := c.caches[req.GetTypeUrl()]; !ok {
		return status.Errorf(codes.InvalidArgument, "resource type %q is not served", req.GetTypeUrl())
	}
	a := answerOf(req)
	c.tracker.answered(id, a)
	switch {
	case a.refused != "":
		c.metrics.nacks.WithLabelValues(shortType(a.typeURL)).Inc()
		c.log.Error("envoy refused resources", "node", req.GetNode().GetId(),
			"type", shortType(a.typeURL), "envoy_says", a.refused)
	case a.nonce != "":
		c.metrics.acks.WithLabelValues(shortType(a.typeURL)).Inc()
	case a.typeURL == resource.ClusterType:
		c.log.Info("envoy connected", "node", req.GetNode().GetId(),
			"version", buildVersion(req.GetNode()))
	}
	return nil
}

func (c *callbacks) OnStreamDeltaResponse(id int64, _ *discoveryv3.DeltaDiscoveryRequest, resp *discoveryv3.DeltaDiscoveryResponse) {
	versions := make(map[string]string, len(resp.GetResources()))
	for _, r := range resp.GetResources() {
		versions[r.GetName()] = r.GetVersion()
	}
	c.tracker.responded(id, resp.GetTypeUrl(), resp.GetNonce(), versions)
}

// shortType is the last word of a type URL: Cluster, Listener.
func shortType(typeURL string) string {
	return typeURL[strings.LastIndexByte(typeURL, '.')+1:]
}

func buildVersion(n *corev3.Node) string {
	v := n.GetUserAgentBuildVersion().GetVersion()
	return fmt.Sprintf("%d.%d.%d", v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
}

// quietLogger passes go-control-plane's errors and warnings on; what it says
// of each watch is of no use to an operator.
type quietLogger struct{ log *slog.Logger }

func (quietLogger) Debugf(string, ...any) {}
func (quietLogger) Infof(string, ...any)  {}
func (l quietLogger) Warnf(format string, args ...any) {
	l.log.Warn(fmt.Sprintf(format, args...))
}
func (l quietLogger) Errorf(format string, args ...any) {
	l.log.Error(fmt.Sprintf(format, args...))
}
