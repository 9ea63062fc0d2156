// Package xds turns a valid config into Envoy's resources, and serves them.
//
// The builders (listener.go, route.go, cluster.go and the files beside them)
// are pure: a model in, a resource out; no clock, no log, no I/O. The
// publisher hands the resources to every Envoy in an order in which nothing
// refers to what is not there yet (make before break), and the tracker
// remembers what each Envoy has acknowledged.
package xds

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	adaptivev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/adaptive_concurrency/v3"
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
	resource.SecretType,
	resource.ExtensionConfigType,
	resource.ListenerType,
	resource.RouteType,
	resource.ScopedRouteType,
}

// Resource is one xDS resource and the hash of its content, which is its
// version: what did not change is not sent.
type Resource struct {
	Name    string
	Version string
	Message proto.Message

	// packed has the message's encoding, and no more: see packedRoutes. It is nil
	// where the message is encoded again whenever it is sent.
	packed proto.Message
	// source is what the resource was built from, where it is kept to see
	// whether the next config builds the same.
	source any
	// refers are the resources without which this one is of no use.
	refers []id
}

// Resources are all resources of one plan, by type URL and name.
type Resources map[resource.Type]map[string]Resource

// Decision is what the judge decides about a route on a listener: which policy
// (by content hash), and whether a call is needed at all.
type Decision struct {
	Policy string
	Needed bool
	// Holds: Check names the route where it takes parameters out of the query,
	// since Envoy then looks for it once more.
	Holds bool
	// Placed is the part of the policy that runs inside Envoy; nil has every request
	// judged.
	Placed *PlacedPolicy
}

// Decisions looks up the Decision for a route on listeners with the given
// placement of limits.
type Decisions func(route *config.Route, placement config.RateLimitPlacement) Decision

// Policies are the answers that the builders take from the packages which own
// them, so that this one imports none of its siblings.
type Policies struct {
	// Decide says what the judge decides about a route (authz).
	Decide Decisions
	// Strangers is what it decides about requests that no route takes.
	Strangers Decision
	// Challenges is what it decides about requests by which ACME authorities see that
	// a domain leads here. Not needed: nobody asks.
	Challenges Decision
	// Placed are all policies that Decide says run inside Envoy, each once.
	Placed []*PlacedPolicy
	// Judged is equal for configs in which Decide says the same of the same
	// route, by its address, Check may send its requests to the same backends, and
	// Strangers and Challenges are the same.
	Judged any
	// Thresholds, OutlierDetection and AdaptiveConcurrency are Envoy's own
	// protections of a backend (breakerpolicy). retried tells that some route asks
	// it again; AdaptiveConcurrency is asked for backends that have it.
	Thresholds          func(c *config.Connections, retried bool) *clusterv3.CircuitBreakers
	OutlierDetection    func(*config.OutlierDetection) *clusterv3.OutlierDetection
	AdaptiveConcurrency func(*config.AdaptiveConcurrency) *adaptivev3.AdaptiveConcurrency
}

// Options say how a config is built. The zero value builds it in the form
// Table, from nothing.
type Options struct {
	// Form is the form in which listeners find their routes.
	Form Form
	// Also are forms that are built beside it, for the connections of
	// listeners that have changed their form and still drain.
	Also []Form
	// Previous are resources that were built before. Those of them that would
	// be built from the same routes and backends are taken over, so that a
	// change costs what has changed. It may be nil.
	Previous Resources
}

// Build returns the resources for a config. The error joins every resource
// that Envoy's own validation rules refuse; with a config that Load accepted
// it is a bug of this package, caught before an Envoy sees it.
func Build(c *config.Config, policies Policies, o Options) (Resources, error) {
	b := builder{config: c, policies: policies, form: cmp.Or(o.Form, Table), hosts: routesByHost(c)}
	b.retried, b.adaptive, b.affinities = retriedBackends(c), adaptiveBackends(c), affinities(c)
	b.bounded, b.late = boundedBackends(c), lateBackends(c)
	b.placeFilter, b.counted = placeFilterOf(judgedInEnvoy(policies.Placed)), b.countedHeaders(placedLimits(policies.Placed))
	b.everywhere = placesEverywhere(policies.Placed)
	b.looksAgain = b.form == Scoped || slices.Contains(o.Also, Scoped)
	b.shared = b.inSeveralTables()
	s := set{previous: o.Previous, next: Resources{}}
	for _, backend := range c.Backends {
		b.addBackend(&s, backend)
	}
	b.addDark(&s)
	for _, l := range c.Listeners {
		refers := slices.Concat(b.tableOfListener(l), secretsOfListener(l), clustersOfListener(l), b.clusterOfSpans(), b.clusterOfLogs(), b.placedOf(l))
		s.put(resource.ListenerType, newResource(resource.ListenerType, l.Name, b.listener(l), nil, refers...))
		if l.HTTP3 {
			s.put(resource.ListenerType, newResource(resource.ListenerType, quicName(l), b.quicListener(l), nil, refers...))
		}
	}
	b.addPlaced(&s)
	for _, placement := range placements(c) {
		for _, form := range append([]Form{b.form}, o.Also...) {
			b.addTables(&s, form, placement)
		}
	}
	return s.next, errors.Join(s.errs...)
}

// clusterSource is all that a cluster depends on.
type clusterSource struct {
	backend  *config.Backend
	retried  bool
	bounded  bool
	late     late
	trailers string
}

// addBackend adds a backend's cluster, and its endpoints where they are served.
func (b builder) addBackend(s *set, backend *config.Backend) {
	from := clusterSource{backend, b.retried[backend.Name], b.bounded[backend.Name], b.late[backend.Name], b.takenTrailers(backend)}
	if s.take(resource.ClusterType, backend.Name, func(source any) bool { return source == from }) {
		name := s.next[resource.ClusterType][backend.Name].Message.(*clusterv3.Cluster).GetEdsClusterConfig().GetServiceName()
		if name == "" || backend.Discovery != nil || s.take(resource.EndpointType, name, func(source any) bool { return source == backend }) {
			return
		}
	}
	cluster := b.cluster(backend)
	var refers []id
	if name := cluster.GetEdsClusterConfig().GetServiceName(); name != "" {
		refers = append(refers, id{resource.EndpointType, name})
		if backend.Discovery == nil { // or else see WithEndpoints
			s.put(resource.EndpointType, newResource(resource.EndpointType, name, assignment(name, backend, backend.Endpoints), backend))
		}
	}
	refers = append(refers, secretsOfBackend(backend)...)
	s.put(resource.ClusterType, newResource(resource.ClusterType, backend.Name, cluster, from, refers...))
}

// tableOfListener is the table that a listener finds its routes in: itself, or
// the one for hosts that have none. One that redirects has its own in itself.
func (b builder) tableOfListener(l *config.Listener) []id {
	if l.RedirectToHTTPS != nil {
		return nil
	}
	if b.form == Scoped {
		return []id{{resource.ScopedRouteType, scopeName(placementOf(l), everyHost)}}
	}
	return []id{{resource.RouteType, routeConfigName(placementOf(l))}}
}

// addTables adds the route tables of a form, and the scopes that find them.
// Tables are what costs in a large config: they are built on all cores.
func (b builder) addTables(s *set, form Form, p config.RateLimitPlacement) {
	var changed []*table
	for _, t := range b.tables(form, p) {
		if form == Scoped {
			s.put(resource.ScopedRouteType, newResource(resource.ScopedRouteType, t.name, scope(t), nil, id{resource.RouteType, t.name}))
		}
		if !s.take(resource.RouteType, t.name, func(source any) bool {
			before, ok := source.(*table)
			return ok && t.equal(before)
		}) {
			changed = append(changed, t)
		}
	}
	resources := make([]built, len(changed))
	inParallel(len(changed), func(i int) {
		before, _ := s.previous[resource.RouteType][changed[i].name].source.(*table)
		message, clusters := b.routeConfig(changed[i], before)
		resources[i] = newResource(resource.RouteType, changed[i].name, message, changed[i], clusters...)
	})
	for _, r := range resources {
		s.put(resource.RouteType, r)
	}
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
	form     Form
	// looksAgain tells that some requests may find their route in a second attempt.
	looksAgain bool
	hosts      hostRoutes
	retried    map[string]bool // the backends that some route asks again
	bounded    map[string]bool // those that some route bounds the bodies for
	late       map[string]late // those that run filters of routes once more
	adaptive   string          // the names of those with a filter of their own
	shared     map[placing]func() *placedRoute
	// affinities are the names of those that keep clients on an endpoint.
	affinities string
	// placeFilter is the name of the filter that lets requests pass, and counted are the
	// headers by which limits count that no backend sees.
	placeFilter string
	counted     []string
	// everywhere tells whether some policy runs inside Envoy on listeners of any kind.
	everywhere bool
}

// placements are the placements of limits that the listeners of c use for their
// routes, each once.
func placements(c *config.Config) []config.RateLimitPlacement {
	var out []config.RateLimitPlacement
	for _, l := range c.Listeners {
		if p := placementOf(l); l.RedirectToHTTPS == nil && !slices.Contains(out, p) {
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

// encoded is the encoding of a resource, of which the hash is its version.
func encoded(m proto.Message) []byte {
	b, err := cachev3.MarshalResource(m)
	if err != nil {
		panic(fmt.Sprintf("xds: marshalling %T: %v", m, err)) // see mustAny
	}
	return b
}

// contentHash is the version of a resource: the hash of its deterministic
// encoding, by the function that go-control-plane names versions with, so that
// what an Envoy acknowledges can be compared with what was wanted.
func contentHash(m proto.Message) string { return cachev3.HashResource(encoded(m)) }

// packedRoutes is a message of which Go knows the name alone, and all else is
// bytes: it is encoded by copying them. go-control-plane encodes every message
// anew, and a route table can have megabytes.
func packedRoutes(name string, encoding []byte) proto.Message {
	m := &routev3.RouteConfiguration{Name: name}
	rest, ok := bytes.CutPrefix(encoding, encoded(m))
	if !ok {
		return nil // the name does not stand first
	}
	m.ProtoReflect().SetUnknown(rest)
	return m
}

// offered is what is given to a cache: a message with the resource's name and
// encoding.
func (r Resource) offered() proto.Message {
	if r.packed != nil {
		return r.packed
	}
	return r.Message
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
