package xds

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	deltav3 "github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	sotwv3 "github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// Server serves what has been published to every Envoy that connects, by ADS:
// best in its incremental variant, whose answers name each resource with a
// version of its own, so that what did not change is not sent; or as the state
// of the world, where all clusters go out when one changes. What was refused is
// sent again in neither.
//
// One linear cache a type is shared by all Envoys; nothing is kept for each
// but its stream.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	delta   deltav3.Server
	world   sotwv3.Server
	caches  map[resource.Type]typeCache
	tracker *tracker
	log     *slog.Logger
	metrics serverMetrics

	ctx    context.Context // ends all streams
	linger time.Duration   // defaultLinger, but in tests

	pause time.Duration // defaultPause, but in tests

	envoys envoyCount
	// beforeUnshared is the function of BeforeUnshared, nil before it.
	beforeUnshared func(context.Context)

	publish chan struct{} // holds one token; guards all below
	current Resources     // what the caches hold
	// patience is how long a step of the publication waits for Envoys.
	patience time.Duration
	// accepted is what was published last, without what has been refused.
	accepted Resources
	held     held
	// publications counts them, and cacheVersions the changes of each cache,
	// as that itself does.
	publications  int
	cacheVersions map[resource.Type]uint64
}

// typeCache holds the resources of one type.
type typeCache interface {
	cachev3.Cache
	UpdateResources(changes map[string]types.Resource, remove []string) error
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
		caches:        map[resource.Type]typeCache{},
		tracker:       newTracker(),
		log:           log,
		ctx:           ctx,
		linger:        defaultLinger,
		pause:         defaultPause,
		cacheVersions: map[resource.Type]uint64{},
		publish:       make(chan struct{}, 1),
	}
	mux := &cachev3.MuxCache{
		Classify:      func(r *cachev3.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cachev3.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        map[string]cachev3.Cache{},
	}
	for _, t := range Types {
		linear := cachev3.NewLinearCache(t, cachev3.WithLogger(quietLogger{log}))
		s.caches[t] = linear
		if t == resource.ScopedRouteType {
			s.caches[t] = newWholeCache(linear)
		}
		mux.Caches[t] = s.caches[t]
	}
	if err := s.serveEnvoys(1); err != nil {
		panic("xds: one endpoint cannot be served: " + err.Error()) // no input is in it: a bug
	}
	s.delta = deltav3.NewServer(ctx, mux, (*callbacks)(s))
	s.world = sotwv3.NewServer(ctx, mux, (*callbacks)(s))
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
	for _, t := range Types { // from 0 on: the increase to a first one is seen by nobody otherwise
		m.acks.WithLabelValues(shortType(t))
		m.nacks.WithLabelValues(shortType(t))
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

// DeltaAggregatedResources serves one Envoy that speaks incremental xDS.
func (s *Server) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	guarded := &privateDelta{AggregatedDiscoveryService_DeltaAggregatedResourcesServer: stream}
	err := s.delta.DeltaStreamHandler(guarded, resource.AnyType)
	if guarded.refused.Load() {
		return errNotPrivate
	}
	return err
}

// StreamAggregatedResources serves one Envoy that speaks the state of the world.
func (s *Server) StreamAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	guarded := &privateWorld{AggregatedDiscoveryService_StreamAggregatedResourcesServer: stream}
	err := s.world.StreamHandler(guarded, resource.AnyType)
	if guarded.refused.Load() {
		return errNotPrivate
	}
	return err
}

// callbacks are the Server as go-control-plane calls it.
type callbacks Server

func (c *callbacks) OnDeltaStreamOpen(_ context.Context, id int64, _ string) error {
	c.tracker.opened(streamID{id: id})
	return nil
}

func (c *callbacks) OnDeltaStreamClosed(id int64, node *corev3.Node) {
	c.tracker.closed(streamID{id: id})
	c.log.Info("envoy disconnected", "node", node.GetId())
}

func (c *callbacks) OnStreamDeltaRequest(id int64, req *discoveryv3.DeltaDiscoveryRequest) error {
	if err := c.serves(req.GetTypeUrl()); err != nil {
		return err
	}
	c.tracker.deltaAnswered(id, req)
	(*Server)(c).greet(streamID{id: id})
	(*Server)(c).envoysAsked(req)
	c.tell(streamID{id: id}, req.GetTypeUrl(), req.GetResponseNonce(), req.GetErrorDetail().GetMessage())
	return nil
}

func (c *callbacks) OnStreamDeltaResponse(id int64, _ *discoveryv3.DeltaDiscoveryRequest, resp *discoveryv3.DeltaDiscoveryResponse) {
	c.tracker.deltaResponded(id, resp)
}

func (c *callbacks) OnStreamOpen(_ context.Context, id int64, _ string) error {
	c.tracker.opened(streamID{world: true, id: id})
	return nil
}

func (c *callbacks) OnStreamClosed(id int64, node *corev3.Node) {
	c.tracker.closed(streamID{world: true, id: id})
	c.log.Info("envoy disconnected", "node", node.GetId())
}

func (c *callbacks) OnStreamRequest(id int64, req *discoveryv3.DiscoveryRequest) error {
	if err := c.serves(req.GetTypeUrl()); err != nil {
		return err
	}
	c.tracker.worldAnswered(id, req)
	(*Server)(c).greet(streamID{world: true, id: id})
	c.tell(streamID{world: true, id: id}, req.GetTypeUrl(), req.GetResponseNonce(), req.GetErrorDetail().GetMessage())
	if req.GetErrorDetail() != nil && req.GetVersionInfo() == "" {
		// An Envoy that refuses the first response has no version yet, and a
		// linear cache takes that for a first request: it would answer with the
		// same again, and again.
		req.VersionInfo = "0"
	}
	return nil
}

func (c *callbacks) OnStreamResponse(_ context.Context, id int64, _ *discoveryv3.DiscoveryRequest, resp *discoveryv3.DiscoveryResponse) {
	c.tracker.worldResponded(id, resp)
}

func (c *callbacks) serves(typeURL string) error {
	if _, ok := c.caches[typeURL]; !ok {
		return status.Errorf(codes.InvalidArgument, "resource type %q is not served", typeURL)
	}
	return nil
}

// tell counts what an Envoy answers, and logs what an operator should know.
func (c *callbacks) tell(id streamID, typeURL, nonce, refused string) {
	switch {
	case refused != "":
		c.metrics.nacks.WithLabelValues(shortType(typeURL)).Inc()
		c.log.Error("envoy refused resources", "node", c.tracker.nodeOf(id), "type", shortType(typeURL), "envoy_says", refused)
	case nonce != "":
		c.metrics.acks.WithLabelValues(shortType(typeURL)).Inc()
	case typeURL == resource.ClusterType:
		node, build := c.tracker.whoIs(id)
		c.log.Info("envoy connected", "node", node, "version", build)
	}
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
