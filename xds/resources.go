// Package xds turns a valid config into Envoy's resources, and serves them.
//
// The builders (listener.go, route.go, cluster.go and the files beside them)
// are pure: a model in, a resource out; no clock, no log, no I/O. The
// publisher hands the resources to every Envoy in an order in which nothing
// refers to what is not there yet (make before break), and the tracker
// remembers what each Envoy has acknowledged.
package xds

import (
	"errors"
	"fmt"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/config"
)

// Types are the resource types that are served, in the order in which new
// ones must reach an Envoy: what is referred to before what refers to it.
var Types = []resource.Type{
	resource.ClusterType,
	resource.EndpointType,
	resource.ListenerType,
	resource.RouteType,
}

// Resource is one xDS resource and the hash of its content, which is its
// version: what did not change is not sent.
type Resource struct {
	Name    string
	Version string
	Message proto.Message
}

// Resources are all resources of one plan, by type URL and name.
type Resources map[resource.Type]map[string]Resource

// Decision is what the judge decides about a route on a listener: which policy
// (by content hash), and whether a call is needed at all.
type Decision struct {
	Policy string
	Needed bool
}

// Decisions looks up the Decision for a route on listeners with the given
// placement of limits.
type Decisions func(route *config.Route, placement config.RateLimitPlacement) Decision

// Policies are the answers that the builders take from the packages which own
// them, so that this one imports none of its siblings.
type Policies struct {
	// Decide says what the judge decides about a route (authz).
	Decide Decisions
	// Thresholds and OutlierDetection are Envoy's own protections of a
	// backend (breakerpolicy).
	Thresholds       func(*config.Connections) *clusterv3.CircuitBreakers
	OutlierDetection func(*config.OutlierDetection) *clusterv3.OutlierDetection
}

// Build returns the resources for a config. The error joins every resource
// that Envoy's own validation rules refuse; with a config that Load accepted
// it is a bug of this package, caught before an Envoy sees it.
func Build(c *config.Config, policies Policies) (Resources, error) {
	b := builder{config: c, policies: policies, closed: c.ClosedWithin()}
	out := Resources{}
	var errs []error
	add := func(t resource.Type, name string, m validatable) {
		if err := m.ValidateAll(); err != nil {
			errs = append(errs, fmt.Errorf("building %s %q: %w", t, name, err))
			return
		}
		if out[t] == nil {
			out[t] = map[string]Resource{}
		}
		out[t][name] = Resource{Name: name, Version: contentHash(m), Message: m}
	}
	for _, backend := range c.Backends {
		cluster := b.cluster(backend)
		add(resource.ClusterType, backend.Name, cluster)
		if name := cluster.GetEdsClusterConfig().GetServiceName(); name != "" {
			add(resource.EndpointType, name, endpoints(name, backend))
		}
	}
	for _, l := range c.Listeners {
		add(resource.ListenerType, l.Name, b.listener(l))
	}
	for _, placement := range placements(c) {
		add(resource.RouteType, routeConfigName(placement), b.routeConfig(placement))
	}
	return out, errors.Join(errs...)
}

// validatable is a message with the rules of its proto file (protoc-gen-validate).
type validatable interface {
	proto.Message
	ValidateAll() error
}

// builder holds what the builders of one config share. It is never changed
// while they run.
type builder struct {
	config   *config.Config
	policies Policies
	// closed is what the CORS policy of a route must not speak for.
	closed map[*config.Route][]config.Closed
}

// placements are the placements of limits that the listeners of c use, each once.
func placements(c *config.Config) []config.RateLimitPlacement {
	var out []config.RateLimitPlacement
	for _, l := range c.Listeners {
		if p := placementOf(l); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

func placementOf(l *config.Listener) config.RateLimitPlacement {
	if l.RateLimit == "" {
		return config.RateLimitService
	}
	return l.RateLimit
}

// contentHash is the version of a resource: the hash of its deterministic
// encoding, by the function that go-control-plane names versions with, so that
// what an Envoy acknowledges can be compared with what was wanted.
func contentHash(m proto.Message) string {
	b, err := cachev3.MarshalResource(m)
	if err != nil {
		panic(fmt.Sprintf("xds: marshalling %T: %v", m, err)) // see mustAny
	}
	return cachev3.HashResource(b)
}

// mustAny packs a message. Packing fails only for strings that are not UTF-8,
// and every string here comes from a config whose loader accepts UTF-8 alone:
// a failure is a bug, not an input.
func mustAny(m proto.Message) *anypb.Any {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("xds: packing %T: %v", m, err))
	}
	return &anypb.Any{TypeUrl: "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName()), Value: b}
}
