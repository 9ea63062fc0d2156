package xds

import (
	"net/netip"
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

const (
	connectTimeout = 2 * time.Second
	// clusterBufferLimit bounds what is buffered for a connection to a backend,
	// as Envoy's edge best practices advise (its own default is 1 MiB).
	clusterBufferLimit = 32 << 10
)

// cluster is Envoy's cluster for a backend. It bears the backend's name, so
// that reordering a config renames nothing.
func (b builder) cluster(backend *config.Backend) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                          backend.Name,
		ConnectTimeout:                durationpb.New(connectTimeout),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(clusterBufferLimit),
		LbPolicy:                      lbPolicy(backend.LoadBalancing),
		HealthChecks:                  healthChecks(backend.HealthCheck, backend.Protocol),
		CircuitBreakers:               b.policies.Thresholds(backend.Connections, b.retried[backend.Name]),
		OutlierDetection:              b.policies.OutlierDetection(backend.OutlierDetection),
		TypedExtensionProtocolOptions: protocolOptions(backend.Protocol),
		CommonLbConfig:                panicThreshold(backend.PanicThreshold),
		TransportSocket:               transportSocketTo(backend),
	}
	if resolvedByDNS(backend) {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED
		c.LoadAssignment = endpoints(backend.Name, backend)
		return c
	}
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
	c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: adsSource(), ServiceName: endpointsName(c)}
	return c
}

// endpointsName is the name of the EDS resource of a cluster: its own name, and
// the hash of its settings. Envoy replaces a cluster whose settings change by a
// new one, which is used when it has its endpoints; but to a name that it knows
// already it does not subscribe again, and nothing that it knows is sent again,
// so that the new cluster would wait for its endpoints until a time-out, 15 s.
// A new name is a new subscription. Endpoints that change keep the name.
func endpointsName(c *clusterv3.Cluster) string {
	return c.GetName() + "@" + contentHash(c)[:12]
}

// resolvedByDNS tells a backend of host names, which Envoy resolves, from one
// of addresses, which EDS serves. A valid backend has one kind only.
func resolvedByDNS(b *config.Backend) bool {
	_, err := netip.ParseAddrPort(b.Endpoints[0])
	return err != nil
}

// panicThreshold is the share of healthy endpoints below which all are used. Envoy's
// own, 50 %, needs no word.
func panicThreshold(percent *int) *clusterv3.Cluster_CommonLbConfig {
	if percent == nil {
		return nil
	}
	return &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: float64(*percent)}}
}

func lbPolicy(l config.LoadBalancing) clusterv3.Cluster_LbPolicy {
	switch l {
	case config.LeastRequest:
		return clusterv3.Cluster_LEAST_REQUEST
	case config.Random:
		return clusterv3.Cluster_RANDOM
	default:
		return clusterv3.Cluster_ROUND_ROBIN
	}
}

func healthChecks(h *config.HealthCheck, p config.Protocol) []*corev3.HealthCheck {
	if h == nil {
		return nil
	}
	return []*corev3.HealthCheck{{
		Interval:           durationpb.New(h.Interval.Or(5 * time.Second)),
		Timeout:            durationpb.New(h.Timeout.Or(time.Second)),
		UnhealthyThreshold: wrapperspb.UInt32(uint32(intOr(h.UnhealthyAfter, 3))),
		HealthyThreshold:   wrapperspb.UInt32(uint32(intOr(h.HealthyAfter, 2))),
		HealthChecker: &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{
			Path:            h.Path,
			CodecClientType: codec(p),
		}},
	}}
}

// protocolOptions are the options of a backend that speaks HTTP/2 without
// asking; HTTP/1.1, Envoy's default, needs none.
func protocolOptions(p config.Protocol) map[string]*anypb.Any {
	if p != config.ProtocolHTTP2 && p != config.ProtocolGRPC {
		return nil
	}
	return map[string]*anypb.Any{
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": mustAny(&upstreamhttpv3.HttpProtocolOptions{
			UpstreamProtocolOptions: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_{
				ExplicitHttpConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig{
					ProtocolConfig: &upstreamhttpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
						Http2ProtocolOptions: http2Options(),
					},
				},
			},
		}),
	}
}

// endpoints is the load assignment of a backend under a name: one locality,
// equal weights.
func endpoints(name string, backend *config.Backend) *endpointv3.ClusterLoadAssignment {
	locality := &endpointv3.LocalityLbEndpoints{}
	for _, hostPort := range backend.Endpoints {
		host, _ := splitHostPort(hostPort)
		locality.LbEndpoints = append(locality.LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address:  socketAddress(hostPort),
				Hostname: hostnameOf(backend, host),
			}},
		})
	}
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: name,
		Endpoints:   []*endpointv3.LocalityLbEndpoints{locality},
	}
}

// intOr returns v, or otherwise where v is 0.
func intOr(v, otherwise int) int {
	if v == 0 {
		return otherwise
	}
	return v
}

// adsSource says that a resource is had from the one ADS stream.
func adsSource() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

// socketAddress is the address of a valid host:port.
func socketAddress(hostPort string) *corev3.Address {
	host, port := splitHostPort(hostPort)
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// splitHostPort splits a host:port that the config's validation has accepted.
func splitHostPort(hostPort string) (string, uint32) {
	if ap, err := netip.ParseAddrPort(hostPort); err == nil {
		return ap.Addr().String(), uint32(ap.Port())
	}
	for i := len(hostPort) - 1; i >= 0; i-- {
		if hostPort[i] == ':' {
			port, _ := strconv.ParseUint(hostPort[i+1:], 10, 16)
			return hostPort[:i], uint32(port)
		}
	}
	return hostPort, 0
}
