// Package envoy makes the bootstrap that points an Envoy at Gatewright, finds
// Envoy's binary, and runs it as a watched child.
package envoy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	internallistenerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"sigs.k8s.io/yaml"
)

// BootstrapOptions say which Gatewright an Envoy belongs to.
type BootstrapOptions struct {
	// NodeID names this Envoy to the control plane.
	NodeID string
	// ControlCluster and CallCluster are the names under which the resources that
	// Gatewright serves refer to it: for streams, and for the calls that a request
	// waits for.
	ControlCluster, CallCluster string
	// EnvoysCluster is the name of the cluster whose endpoints stand for the Envoys of
	// this gateway. By their number an Envoy knows its share of a limit that it counts
	// by itself. Empty makes a bootstrap of an Envoy that counts no limits.
	EnvoysCluster string
	// ControlAddr is Gatewright's gRPC address: host:port, or unix:PATH.
	ControlAddr string
	// ControlTLS has Envoy speak TLS there. The zero value does not.
	ControlTLS ControlTLS
	// Admin is where Envoy's admin interface listens: host:port, or unix:PATH.
	// It is not to be reached by strangers: it can stop Envoy.
	Admin string
	// Overload is what it bears before it turns clients away.
	Overload Overload
}

const (
	// maxControlRequests bounds the calls in flight to Gatewright. Envoy's
	// default, 1024, would refuse requests of a busy gateway without asking.
	maxControlRequests = 65_536
	// maxControlStreams bounds the calls on one connection; more make another.
	// Gatewright's port allows as many, and Envoys before 1.36 would begin
	// without a bound until they are told.
	maxControlStreams = 1024

	controlConnectTimeout = time.Second
	controlKeepalive      = 10 * time.Second
	controlKeepaliveWait  = 5 * time.Second
)

// Bootstrap is the static config of an Envoy that has the rest from
// Gatewright over one incremental ADS stream.
func Bootstrap(o BootstrapOptions) (*bootstrapv3.Bootstrap, error) {
	control, err := address(o.ControlAddr)
	if err != nil {
		return nil, fmt.Errorf("reading the control plane's address: %w", err)
	}
	if !o.ControlTLS.isZero() {
		if err := o.ControlTLS.validate(o.ControlAddr); err != nil {
			return nil, err
		}
	}
	admin, err := address(o.Admin)
	if err != nil {
		return nil, fmt.Errorf("reading the admin interface's address: %w", err)
	}
	b := &bootstrapv3.Bootstrap{
		Node:  &corev3.Node{Id: o.NodeID, Cluster: "gatewright"},
		Admin: &bootstrapv3.Admin{Address: admin, IgnoreGlobalConnLimit: true},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			LdsConfig: fromADS(),
			CdsConfig: fromADS(),
			AdsConfig: &corev3.ApiConfigSource{
				ApiType:                   corev3.ApiConfigSource_DELTA_GRPC,
				TransportApiVersion:       corev3.ApiVersion_V3,
				SetNodeOnFirstMessageOnly: true,
				GrpcServices: []*corev3.GrpcService{{
					TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
						EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: o.ControlCluster},
					},
				}},
			},
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Clusters: []*clusterv3.Cluster{
				controlCluster(o.ControlCluster, control, o.ControlTLS),
				controlCluster(o.CallCluster, control, o.ControlTLS),
			},
		},
		// Copies of requests for canaries that are judged by them take a hop through
		// listeners that only Envoy itself can reach.
		BootstrapExtensions: []*corev3.TypedExtensionConfig{{
			Name:        "envoy.bootstrap.internal_listener",
			TypedConfig: mustAny(&internallistenerv3.InternalListener{}),
		}},
		OverloadManager: overloadManager(o.Overload),
		LayeredRuntime:  layeredRuntime(),
	}
	if o.EnvoysCluster != "" {
		b.Node.Metadata = countsLimits(o.EnvoysCluster)
		b.ClusterManager = &bootstrapv3.ClusterManager{LocalClusterName: o.EnvoysCluster}
		b.StaticResources.Clusters = append(b.StaticResources.Clusters, envoysCluster(o.EnvoysCluster))
	}
	if err := b.ValidateAll(); err != nil {
		return nil, fmt.Errorf("building the bootstrap: %w", err)
	}
	return b, nil
}

// BootstrapYAML is the bootstrap as a file for `envoy -c`.
func BootstrapYAML(o BootstrapOptions) ([]byte, error) {
	b, err := Bootstrap(o)
	if err != nil {
		return nil, err
	}
	out, err := messageYAML(b)
	if err != nil {
		return nil, fmt.Errorf("rendering the bootstrap: %w", err)
	}
	return out, nil
}

func messageYAML(m proto.Message) ([]byte, error) {
	j, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(j)
}

// controlCluster is Gatewright as a backend of Envoy: HTTP/2, kept alive so
// that a dead peer is noticed, and never limited by Envoy's own thresholds.
func controlCluster(name string, at *corev3.Address, tls ControlTLS) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: discoveryType(at)},
		ConnectTimeout:       durationpb.New(controlConnectTimeout),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: at}},
			}}}},
		},
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
			MaxRequests:        wrapperspb.UInt32(maxControlRequests),
			MaxPendingRequests: wrapperspb.UInt32(maxControlRequests),
		}}},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": mustAny(http2()),
		},
	}
	if !tls.isZero() {
		c.TransportSocket = tls.transportSocket(name, at)
	}
	return c
}

func http2() *upstreamhttpv3.HttpProtocolOptions {
	return &upstreamhttpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
						MaxConcurrentStreams: wrapperspb.UInt32(maxControlStreams),
						ConnectionKeepalive: &corev3.KeepaliveSettings{
							Interval: durationpb.New(controlKeepalive),
							Timeout:  durationpb.New(controlKeepaliveWait),
						},
					},
				},
			},
		},
	}
}

// maxRegexProgram is the size of the largest regular expression, in RE2's
// instructions: some one for a character. Envoy's default, 100, refuses the
// paths with variables of ordinary APIs.
const maxRegexProgram = 65_536

// What an Envoy bears of a client that asks for much at once (CVE-2023-44487).
//
// All that one read of a connection has in it is done before anybody else's turn comes,
// unless it is bounded: a client that sends a thousand requests in a packet, and takes
// each back, had all others wait for seconds. A bound costs those who do no harm, too:
// of the requests per second of h2load (4 connections, 100 streams each, one thread of
// Envoy, an answer of its own, two rounds in turn) there were left, with 1: 0.40, with 4:
// 0.73, with 8: 0.79, with 16: 1.01, with 32: 1.08, of 37 800 without one. Four
// connections that send rapid resets hold up others with 16 no longer than with 1
// (TestFloods: 0.8 s, and 1.4 s without a bound).
//
// A connection is closed when more than half of its requests were taken back within a
// second of being asked, and it has had prematureRequests. Envoy's own is 500,
// most of whose price is the backend's, which has connections made and thrown away.
const (
	requestsPerTurn   = 16
	prematureRequests = 200
)

func layeredRuntime() *bootstrapv3.LayeredRuntime {
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name: "gatewright",
		LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{Fields: map[string]*structpb.Value{
			"re2.max_program_size.error_level":            structpb.NewNumberValue(maxRegexProgram),
			"http.max_requests_per_io_cycle":              structpb.NewNumberValue(requestsPerTurn),
			"overload.premature_reset_total_stream_count": structpb.NewNumberValue(prematureRequests),
		}}},
	}}}
}

func fromADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

// address reads host:port or unix:PATH.
func address(s string) (*corev3.Address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return nil, fmt.Errorf("%q: want host:port or unix:PATH", s)
	}
	port, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q: port: want a number up to 65535", s)
	}
	host := strings.Trim(s[:i], "[]")
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}, nil
}

// discoveryType is STATIC for addresses; a host name is resolved and followed.
func discoveryType(at *corev3.Address) clusterv3.Cluster_DiscoveryType {
	if s := at.GetSocketAddress(); s != nil {
		if _, err := netip.ParseAddr(s.GetAddress()); err != nil {
			return clusterv3.Cluster_STRICT_DNS
		}
	}
	return clusterv3.Cluster_STATIC
}

// mustAny packs a message made of this file's constants, which cannot fail.
func mustAny(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(fmt.Sprintf("envoy: packing %T: %v", m, err))
	}
	return a
}
