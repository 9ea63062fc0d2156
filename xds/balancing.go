package xds

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	leastrequestv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	maglevv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	randomv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	ringhashv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"
	roundrobinv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// balanced has a cluster pick its endpoints as the backend says. An algorithm without
// parameters is a word in the cluster; with them it is an extension of Envoy.
func balanced(c *clusterv3.Cluster, backend *config.Backend) {
	algorithm, lb := backend.Algorithm(), backend.LoadBalancing
	if lb == nil {
		lb = &config.LoadBalancing{}
	}
	if !parametrised(lb) && !algorithm.Hashes() {
		c.LbPolicy = lbPolicy(algorithm)
		return
	}
	c.LoadBalancingPolicy = &clusterv3.LoadBalancingPolicy{Policies: []*clusterv3.LoadBalancingPolicy_Policy{{
		TypedExtensionConfig: &corev3.TypedExtensionConfig{
			Name:        "envoy.load_balancing_policies." + string(algorithm),
			TypedConfig: mustAny(balancer(algorithm, lb, backend)),
		},
	}}}
}

// parametrised tells whether an algorithm that does not hash needs more than its name.
func parametrised(lb *config.LoadBalancing) bool {
	return lb.SlowStart != nil || lb.Choices != 0 || lb.ActiveRequestBias != nil || len(lb.ZoneWeights) > 0
}

func lbPolicy(p config.BalancingPolicy) clusterv3.Cluster_LbPolicy {
	switch p {
	case config.LeastRequest:
		return clusterv3.Cluster_LEAST_REQUEST
	case config.Random:
		return clusterv3.Cluster_RANDOM
	default:
		return clusterv3.Cluster_ROUND_ROBIN
	}
}

// balancer are the settings of an algorithm.
func balancer(algorithm config.BalancingPolicy, lb *config.LoadBalancing, backend *config.Backend) proto.Message {
	switch algorithm {
	case config.LeastRequest:
		return &leastrequestv3.LeastRequest{
			ChoiceCount:       uint32OrNil(lb.Choices),
			ActiveRequestBias: runtimeDouble(lb.ActiveRequestBias, "upstream.active_request_bias/"+backend.Name),
			SlowStartConfig:   slowStart(lb.SlowStart, backend.Name),
			LocalityLbConfig:  localityConfig(lb),
		}
	case config.Random:
		return &randomv3.Random{LocalityLbConfig: localityConfig(lb)}
	case config.RingHash:
		return &ringhashv3.RingHash{
			HashFunction:              hashFunction(lb.HashFunction),
			MinimumRingSize:           uint64OrNil(lb.MinRingSize),
			MaximumRingSize:           uint64OrNil(lb.MaxRingSize),
			ConsistentHashingLbConfig: consistentHashing(lb, backend),
			LocalityWeightedLbConfig:  localityWeighted(lb),
		}
	case config.Maglev:
		return &maglevv3.Maglev{
			TableSize:                 uint64OrNil(lb.TableSize),
			ConsistentHashingLbConfig: consistentHashing(lb, backend),
			LocalityWeightedLbConfig:  localityWeighted(lb),
		}
	default:
		return &roundrobinv3.RoundRobin{
			SlowStartConfig:  slowStart(lb.SlowStart, backend.Name),
			LocalityLbConfig: localityConfig(lb),
		}
	}
}

func hashFunction(f config.HashFunction) ringhashv3.RingHash_HashFunction {
	if f == config.Murmur2 {
		return ringhashv3.RingHash_MURMUR_HASH_2
	}
	return ringhashv3.RingHash_XX_HASH
}

// consistentHashing says what is hashed in the cluster and not in its routes: a route
// may lead to several backends, each of which hashes something else, and hash for its
// own split.
func consistentHashing(lb *config.LoadBalancing, backend *config.Backend) *commonv3.ConsistentHashingLbConfig {
	out := &commonv3.ConsistentHashingLbConfig{HashBalanceFactor: uint32OrNil(lb.MaxLoad)}
	if cookie := backend.AffinityCookie(); cookie != "" {
		out.HashPolicy = []*routev3.RouteAction_HashPolicy{affinityHash(cookie)}
		return out
	}
	parts := lb.Hash
	if len(parts) == 0 {
		parts = []config.HashPart{config.HashClientIP}
	}
	for _, part := range parts {
		out.HashPolicy = append(out.HashPolicy, hashOf(part))
	}
	return out
}

// hashOf hashes one part, and ends there where the request has it.
func hashOf(part config.HashPart) *routev3.RouteAction_HashPolicy {
	if name, ok := part.Query(); ok {
		return &routev3.RouteAction_HashPolicy{Terminal: true, PolicySpecifier: &routev3.RouteAction_HashPolicy_QueryParameter_{
			QueryParameter: &routev3.RouteAction_HashPolicy_QueryParameter{Name: name},
		}}
	}
	if told := part.Told(); told != "" {
		return hashOfCaller(told)
	}
	return hashPolicy(config.StickyPart(part))
}

// slowStart reads its aggression under a runtime key, which Envoy wants to have a
// name; nothing is set there.
func slowStart(s *config.SlowStart, backend string) *commonv3.SlowStartConfig {
	if s == nil {
		return nil
	}
	out := &commonv3.SlowStartConfig{SlowStartWindow: durationOrNil(s.Window)}
	if s.Aggression != 0 {
		out.Aggression = runtimeDouble(&s.Aggression, "upstream.slow_start_aggression/"+backend)
	}
	if s.MinPercent != 0 {
		out.MinWeightPercent = &typev3.Percent{Value: float64(s.MinPercent)}
	}
	return out
}

func localityConfig(lb *config.LoadBalancing) *commonv3.LocalityLbConfig {
	weighted := localityWeighted(lb)
	if weighted == nil {
		return nil
	}
	return &commonv3.LocalityLbConfig{LocalityConfigSpecifier: &commonv3.LocalityLbConfig_LocalityWeightedLbConfig_{LocalityWeightedLbConfig: weighted}}
}

func localityWeighted(lb *config.LoadBalancing) *commonv3.LocalityLbConfig_LocalityWeightedLbConfig {
	if len(lb.ZoneWeights) == 0 {
		return nil
	}
	return &commonv3.LocalityLbConfig_LocalityWeightedLbConfig{}
}

func runtimeDouble(v *float64, key string) *corev3.RuntimeDouble {
	if v == nil {
		return nil
	}
	return &corev3.RuntimeDouble{DefaultValue: *v, RuntimeKey: key}
}

// uint32OrNil and uint64OrNil are a number, or nothing where it is 0: then it is
// Envoy's default.
func uint32OrNil(n int) *wrapperspb.UInt32Value {
	if n == 0 {
		return nil
	}
	return wrapperspb.UInt32(uint32(n))
}

func uint64OrNil(n int) *wrapperspb.UInt64Value {
	if n == 0 {
		return nil
	}
	return wrapperspb.UInt64(uint64(n))
}

// seconds is a duration, or nothing where it is 0, in the seconds that a field counts.
func secondsOrNil(d config.Duration) *wrapperspb.UInt64Value {
	return uint64OrNil(int(durationpb.New(d.Or(0)).GetSeconds()))
}
