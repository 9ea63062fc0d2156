package xds

import (
	"context"
	"slices"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Envoys are told how many they are, with those of other instances: one that comes at
// once, and one that has gone after a while.
func TestEnvoysAreToldHowManyTheyAre(t *testing.T) {
	r := newRig(t)
	if n := r.endpointsOfEnvoys(); n != 1 {
		t.Errorf("%d endpoints before any Envoy, want 1", n)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	r.ExpectEnvoys(ctx, func(here int) int { return here + 3 })
	if n := r.endpointsOfEnvoys(); n != 4 {
		t.Errorf("%d endpoints when an Envoy may come, want 4", n)
	}
	go func() {
		defer close(stopped)
		r.CountEnvoys(ctx)
	}()
	a := r.connect(t, "a")
	a.await(func([]string) bool { return r.Fleet().Envoys == 4 })
	b := r.connect(t, "b")
	a.await(func([]string) bool { return r.Fleet().Envoys == 5 })
	if n := r.endpointsOfEnvoys(); n != 5 {
		t.Errorf("%d endpoints, want 5", n)
	}
	b.leave()
	a.await(func([]string) bool { return r.tracker.connected() == 1 })
	if n := r.Fleet().Envoys; n != 5 {
		t.Errorf("%d Envoys when one has just gone, want 5", n)
	}
	stop()
	<-stopped
}

func (r rig) endpointsOfEnvoys() int {
	served := r.caches[resource.EndpointType].(*cachev3.LinearCache).GetResources()[EnvoysCluster]
	return len(served.(*endpointv3.ClusterLoadAssignment).GetEndpoints()[0].GetLbEndpoints())
}

// What has been counted is believed for a while when there are fewer, and at once when
// there are more; and so is what Envoys bring with them to a Gatewright that has just
// started.
func TestEnvoyCount(t *testing.T) {
	var c envoyCount
	start := time.Unix(0, 0)
	step := func(at time.Duration, connected, want int) {
		t.Helper()
		if n := c.count(connected, start.Add(at)); n != want {
			t.Errorf("after %v, with %d connected: %d, want %d", at, connected, n, want)
		}
	}
	step(0, 0, 1)
	step(time.Second, 3, 3)
	step(2*time.Second, 1, 3)
	step(3*time.Second, 2, 3)
	step(time.Second+envoysFor, 1, 2)
	step(3*time.Second+envoysFor, 1, 1)
	step(4*time.Second+envoysFor, 0, 1)
	c.recall(brings(envoysVersion(6)), start.Add(20*time.Second))
	step(21*time.Second, 1, 6)
	step(22*time.Second, 7, 7)
	step(20*time.Second+envoysRecalled, 2, 2)
	c.recall(brings(envoysVersion(2)), start.Add(time.Minute))
	step(time.Minute, 1, 2)
	for _, m := range []*discoveryv3.DeltaDiscoveryRequest{brings("of another's"), brings("")} {
		c = envoyCount{}
		c.recall(m, start)
		step(0, 1, 1)
	}
}

// brings is the first request of an Envoy for endpoints, which had them in a version.
func brings(version string) *discoveryv3.DeltaDiscoveryRequest {
	m := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.EndpointType, ResourceNamesSubscribe: []string{EnvoysCluster}}
	if version != "" {
		m.InitialResourceVersions = map[string]string{EnvoysCluster: version}
	}
	return m
}

// A fleet has shares when each Envoy of it has the cluster in its bootstrap.
func TestFleetHasShares(t *testing.T) {
	r := newRig(t)
	if r.Fleet().Unshared {
		t.Error("a fleet without Envoys has none that lacks the cluster")
	}
	tell := func(node *corev3.Node) {
		id := streamID{id: int64(len(r.tracker.streams) + 100)}
		r.tracker.opened(id)
		r.tracker.with(id, func(s *stream) { s.introduce(node) })
	}
	tell(&corev3.Node{Id: "new", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{EnvoysCluster: structpb.NewBoolValue(true)}}})
	if r.Fleet().Unshared {
		t.Error("an Envoy that has the cluster is taken for one that has it not")
	}
	tell(&corev3.Node{Id: "old"})
	if !r.Fleet().Unshared {
		t.Error("an Envoy without the cluster is taken for one that has it")
	}
}

// An Envoy that cannot be told its share gets nothing before what is served suits it, and
// what is published meanwhile waits for the others alone. It is greeted once.
func TestUnsharedEnvoysGetWhatSuitsThem(t *testing.T) {
	r := newRig(t)
	publish(t, r, resources(t, "a"))
	suits, greeted := make(chan struct{}), 0
	r.BeforeUnshared(func(ctx context.Context) {
		greeted++
		if p := r.tracker.progress(); len(p.behind) > 0 || !r.Fleet().Unshared {
			t.Errorf("it is waited for: %v; unshared: %t", p.behind, r.Fleet().Unshared)
		}
		publish(t, r, resources(t, "b"))
		<-suits
	})
	e := r.connect(t, "old")
	publish(t, r, resources(t, "c"))
	if events := e.seen(); len(events) > 0 {
		t.Errorf("it has got %v", events)
	}
	close(suits)
	e.has("+Cluster c")
	e.has("+RouteConfiguration routes-service")
	if greeted != 1 {
		t.Errorf("it was greeted %d times", greeted)
	}
	e.seen()
	publish(t, r, resources(t, "c", "d"))
	if !slices.Contains(e.seen(), "+Cluster d") {
		t.Error("it is waited for no more")
	}
}
