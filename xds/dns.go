package xds

import (
	"cmp"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	commondnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatewright/gatewright/config"
)

// Envoy's own refresh rate of names.
const dnsRefresh = 5 * time.Second

// resolved has Envoy resolve the endpoints of a backend, which are host names.
func resolved(c *clusterv3.Cluster, backend *config.Backend) {
	c.LoadAssignment = assignment(backend.Name, backend, backend.Endpoints)
	if backend.DNS == nil {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED
		return
	}
	c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.cluster.dns", TypedConfig: mustAny(dnsCluster(backend.DNS)),
	}}
}

func dnsCluster(d *config.DNS) *dnsv3.DnsCluster {
	out := &dnsv3.DnsCluster{
		DnsRefreshRate:               durationOrNil(d.Refresh),
		RespectDnsTtl:                d.RespectTTL,
		DnsJitter:                    durationOrNil(d.Jitter),
		DnsLookupFamily:              dnsFamilies[cmp.Or(d.Addresses, config.DNSIPv4First)],
		AllAddressesInSingleEndpoint: d.Mode == config.DNSLogical,
		TypedDnsResolverConfig:       resolver(d),
	}
	if d.RespectTTL {
		out.DnsMinRefreshRate = durationpb.New(d.Refresh.Or(dnsRefresh))
	}
	if base := time.Duration(d.FailureRefresh); base != 0 {
		out.DnsFailureRefreshRate = &dnsv3.DnsCluster_RefreshRate{BaseInterval: durationpb.New(base), MaxInterval: durationpb.New(10 * base)}
	}
	return out
}

var dnsFamilies = map[config.DNSFamily]commondnsv3.DnsLookupFamily{
	config.DNSIPv4First: commondnsv3.DnsLookupFamily_V4_PREFERRED,
	config.DNSIPv4Only:  commondnsv3.DnsLookupFamily_V4_ONLY,
	config.DNSIPv6First: commondnsv3.DnsLookupFamily_AUTO,
	config.DNSIPv6Only:  commondnsv3.DnsLookupFamily_V6_ONLY,
	config.DNSBoth:      commondnsv3.DnsLookupFamily_ALL,
}

// resolver is who is asked, and how, where that is not Envoy's default.
func resolver(d *config.DNS) *corev3.TypedExtensionConfig {
	if len(d.Resolvers) == 0 && !d.TCP && d.QueryTimeout == 0 && d.Tries == 0 {
		return nil
	}
	cares := &caresv3.CaresDnsResolverConfig{
		QueryTimeoutSeconds: secondsOrNil(d.QueryTimeout),
		QueryTries:          uint32OrNil(d.Tries),
	}
	for _, r := range d.Resolvers {
		cares.Resolvers = append(cares.Resolvers, socketAddress(r))
	}
	if d.TCP {
		cares.DnsResolverOptions = &corev3.DnsResolverOptions{UseTcpForDnsLookups: true}
	}
	return &corev3.TypedExtensionConfig{Name: "envoy.network.dns_resolver.cares", TypedConfig: mustAny(cares)}
}
