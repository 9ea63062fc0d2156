package xds

import (
	"net/netip"
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/gatewright/gatewright/config"
)

// cluster is Envoy's cluster for a backend. It bears the backend's name, so
// that reordering a config renames nothing.
func (b builder) cluster(backend *config.Backend) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                          backend.Name,
		HealthChecks:                  healthChecks(backend),
		CircuitBreakers:               b.policies.Thresholds(backend.Connections, b.retried[backend.Name]),
		OutlierDetection:              b.policies.OutlierDetection(backend.OutlierDetection),
		TypedExtensionProtocolOptions: protocolOptions(backend, b.upstreamFilters(backend)),
		CommonLbConfig:                panicThreshold(backend.PanicThreshold),
		TransportSocket:               transportSocketTo(backend),
		// An endpoint that is taken away gets no more requests, however healthy: who
		// takes it away may be about to stop it.
		IgnoreHealthOnHostRemoval: backend.HealthCheck != nil,
	}
	balanced(c, backend)
	connecting(c, backend.Connections)
	if backend.ResolvedByDNS() {
		resolved(c, backend)
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

// panicThreshold is the share of healthy endpoints below which all are used. Envoy's
// own, 50 %, needs no word.
func panicThreshold(percent *int) *clusterv3.Cluster_CommonLbConfig {
	if percent == nil {
		return nil
	}
	return &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: float64(*percent)}}
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
