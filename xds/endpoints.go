package xds

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// WithEndpoints are the resources with the endpoints of the backends that are
// discovered among them, by the backends' names: they are not in a plan, which is made
// of the config alone. A backend that is not named has none.
func (r Resources) WithEndpoints(c *config.Config, discovered map[string][]*config.Endpoint) (Resources, error) {
	s := set{next: maps.Clone(r)}
	s.next[resource.EndpointType] = maps.Clone(r[resource.EndpointType])
	for _, backend := range c.Backends {
		if backend.Discovery == nil {
			continue
		}
		cluster, ok := r[resource.ClusterType][backend.Name].Message.(*clusterv3.Cluster)
		if !ok {
			continue
		}
		name := cluster.GetEdsClusterConfig().GetServiceName()
		s.put(resource.EndpointType, newResource(resource.EndpointType, name, assignment(name, backend, discovered[backend.Name]), nil))
	}
	return s.next, errors.Join(s.errs...)
}

// SameEndpoints tells whether two sets have the same endpoints.
func (r Resources) SameEndpoints(other Resources) bool {
	return maps.EqualFunc(r[resource.EndpointType], other[resource.EndpointType], func(a, b Resource) bool { return a.Version == b.Version })
}

// assignment is the load assignment of a backend under a name: its endpoints by rank
// and zone, in an order that does not depend on theirs, so that what lists them in
// another order changes nothing.
func assignment(name string, backend *config.Backend, endpoints []*config.Endpoint) *endpointv3.ClusterLoadAssignment {
	type group struct {
		priority int
		zone     string
	}
	groups := map[group][]*config.Endpoint{}
	for _, e := range endpoints {
		g := group{e.Priority, e.Zone}
		groups[g] = append(groups[g], e)
	}
	out := &endpointv3.ClusterLoadAssignment{ClusterName: name}
	if lb := backend.LoadBalancing; lb != nil && lb.Overprovisioning != 0 {
		out.Policy = &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(uint32(lb.Overprovisioning))}
	}
	inOrder := slices.SortedFunc(maps.Keys(groups), func(a, b group) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.zone, b.zone))
	})
	for _, g := range inOrder {
		locality := &endpointv3.LocalityLbEndpoints{Priority: uint32(g.priority)}
		if g.zone != "" {
			locality.Locality = &corev3.Locality{Zone: g.zone}
		}
		if weights := zoneWeights(backend); weights != nil {
			locality.LoadBalancingWeight = wrapperspb.UInt32(uint32(cmp.Or(weights[g.zone], 1)))
		}
		for _, e := range groups[g] {
			locality.LbEndpoints = append(locality.LbEndpoints, lbEndpoint(backend, e))
		}
		out.Endpoints = append(out.Endpoints, locality)
	}
	return out
}

// zoneWeights are those of a backend, nil where zones do not matter.
func zoneWeights(b *config.Backend) map[string]int {
	if b.LoadBalancing == nil || len(b.LoadBalancing.ZoneWeights) == 0 {
		return nil
	}
	return b.LoadBalancing.ZoneWeights
}

func lbEndpoint(backend *config.Backend, e *config.Endpoint) *endpointv3.LbEndpoint {
	host, _ := splitHostPort(e.Address)
	at := &endpointv3.Endpoint{Address: socketAddress(e.Address), Hostname: hostnameOf(backend, host)}
	if h := backend.HealthCheck; h != nil && h.Port != 0 {
		at.HealthCheckConfig = &endpointv3.Endpoint_HealthCheckConfig{PortValue: uint32(h.Port)}
	}
	out := &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: at}}
	if e.Share() != 1 {
		out.LoadBalancingWeight = wrapperspb.UInt32(uint32(e.Share()))
	}
	if backend.SessionAffinity != nil {
		out.Metadata = affinityMetadata(backend, e)
	}
	return out
}
