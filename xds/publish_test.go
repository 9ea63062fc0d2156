package xds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gatewright/gatewright/config"
)

// configWith is a valid config of backends, each with a route to it.
func configWith(backends ...string) *config.Config {
	c := &config.Config{
		Listeners: []*config.Listener{{Name: "public", Address: "127.0.0.1:8080"}},
		Backends:  map[string]*config.Backend{},
	}
	for _, name := range backends {
		c.Backends[name] = &config.Backend{Name: name, Endpoints: []*config.Endpoint{{Address: "127.0.0.1:9101"}}}
		c.Routes = append(c.Routes, &config.Route{
			Name:  name,
			Match: config.Match{Path: "/" + name},
			Auth:  &config.RouteAuth{Public: true},
			To:    []*config.Destination{{Backend: name}},
		})
	}
	return c
}

func build(t *testing.T, c *config.Config) Resources {
	t.Helper()
	r, err := Build(c, Policies{
		Decide:           func(*config.Route, config.RateLimitPlacement) Decision { return Decision{} },
		Thresholds:       func(*config.Connections, bool) *clusterv3.CircuitBreakers { return nil },
		OutlierDetection: func(*config.OutlierDetection) *clusterv3.OutlierDetection { return nil },
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func publish(t *testing.T, r rig, next Resources) {
	t.Helper()
	p, err := r.Publish(t.Context(), next)
	if err != nil || !p.Settled || len(p.SetAside) > 0 {
		t.Fatalf("publishing: %+v, error %v", p, err)
	}
}

// connected is a rig that serves the backends to one Envoy which has them all.
func connected(t *testing.T, backends ...string) (rig, *fakeEnvoy) {
	t.Helper()
	r := newRig(t)
	publish(t, r, resources(t, backends...))
	e := r.connect(t, "edge")
	e.has("+RouteConfiguration routes-service")
	for _, b := range backends {
		e.has("+ClusterLoadAssignment " + b)
	}
	e.seen()
	return r, e
}

func TestWhatIsNewComesInOrder(t *testing.T) {
	r, e := connected(t, "a")
	publish(t, r, resources(t, "a", "b"))
	want := []string{"+Cluster b", "+ClusterLoadAssignment b", "+RouteConfiguration routes-service"}
	if got := e.seen(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v and nothing else", got, want)
	}
}

func TestWhatIsOldGoesLast(t *testing.T) {
	r, e := connected(t, "a", "b")
	publish(t, r, resources(t, "a"))
	e.has("-Cluster b")
	if err := isBefore(e.seen(), "+RouteConfiguration routes-service", "-Cluster b"); err != nil {
		t.Error(err)
	}
}

// TestRoutesWaitForEndpoints: an Envoy that has a cluster but not yet its
// endpoints would answer 503 on a route to it.
func TestRoutesWaitForEndpoints(t *testing.T) {
	r, e := connected(t, "a")
	e.mu.Lock()
	e.hold[resource.EndpointType] = true
	e.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		_, err := r.Publish(t.Context(), resources(t, "a", "b"))
		done <- err
	}()
	e.has("+ClusterLoadAssignment b")
	if got := r.tracker.progress().behind; !slices.Equal(got, []string{"edge"}) {
		t.Errorf("behind: %v, want edge, which has not acknowledged", got)
	}
	if got := e.seen(); slices.Contains(got, "+RouteConfiguration routes-service") {
		t.Errorf("the route was sent before the endpoints were acknowledged: %v", got)
	}
	e.release()
	e.has("+RouteConfiguration routes-service")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestClustersWaitForRoutesToGo: while an Envoy has not acknowledged the table
// without a route, that route's cluster stays.
func TestClustersWaitForRoutesToGo(t *testing.T) {
	r, e := connected(t, "a", "b")
	e.mu.Lock()
	e.hold[resource.RouteType] = true
	e.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		_, err := r.Publish(t.Context(), resources(t, "a"))
		done <- err
	}()
	e.has("+RouteConfiguration routes-service")
	if n := len(r.clusters()); n != 2 {
		t.Errorf("%d clusters are served before the table is acknowledged, want both", n)
	}
	e.release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	e.has("-Cluster b")
}

// TestWhatComesBackInTimeNeverGoes: a route that is taken out and put back while
// its cluster lingers finds the same cluster.
func TestWhatComesBackInTimeNeverGoes(t *testing.T) {
	r, e := connected(t, "a", "b")
	r.linger = time.Hour
	publish(t, r, resources(t, "a"))
	r.linger = 20 * time.Millisecond
	publish(t, r, resources(t, "a", "b"))
	publish(t, r, resources(t, "a", "b", "c"))
	publish(t, r, resources(t, "a", "b"))
	e.has("-Cluster c")
	if got := e.seen(); slices.Contains(got, "-Cluster b") || slices.Contains(got, "+Cluster b") {
		t.Errorf("the cluster went and came back: %v", got)
	}
}

// TestOldRetirementTakesNothingNew: what one publication would take away later
// is not taken from a publication after it.
func TestOldRetirementTakesNothingNew(t *testing.T) {
	r, e := connected(t, "a", "b")
	r.linger = 2 * time.Second // so that what follows comes in time, also on a busy machine
	publish(t, r, resources(t, "a"))
	publish(t, r, resources(t, "a", "b", "c"))
	publish(t, r, resources(t, "a", "b", "c", "d"))
	publish(t, r, resources(t, "a", "b", "c"))
	e.has("-Cluster d") // by now the first retirement is over
	for _, name := range []string{"b", "c"} {
		if got := e.seen(); slices.Contains(got, "-Cluster "+name) {
			t.Errorf("%s was taken away: %v", name, got)
		}
		if _, ok := r.clusters()[name]; !ok {
			t.Errorf("%s is not served", name)
		}
	}
}

func TestNothingIsSentWhenNothingChanged(t *testing.T) {
	r, e := connected(t, "a", "b")
	publish(t, r, resources(t, "b", "a")) // the same in another order of the file
	publish(t, r, resources(t, "a", "b", "c"))
	if got := e.seen(); got[0] != "+Cluster c" || slices.Contains(got, "+Cluster a") || slices.Contains(got, "+Listener public") {
		t.Errorf("got %v: something that did not change was sent", got)
	}
}

// TestWhatIsRefusedIsSetAside: the cluster that an Envoy refuses, and the table
// that needs it; the others go on.
func TestWhatIsRefusedIsSetAside(t *testing.T) {
	r, e := connected(t, "a")
	e.refuses("b", "no such thing as b")
	p, err := r.Publish(t.Context(), resources(t, "a", "b", "c"))
	if err != nil || !p.Settled {
		t.Fatalf("%+v, error %v", p, err)
	}
	want := []SetAside{
		{Type: "Cluster", Name: "b", Node: "edge", Message: "no such thing as b"},
		{Type: "RouteConfiguration", Name: "routes-service", Message: "it refers to what was refused", Kept: true},
	}
	if !slices.Equal(p.SetAside, want) {
		t.Errorf("set aside: %+v, want %+v", p.SetAside, want)
	}
	e.has("+ClusterLoadAssignment c")
	if got := e.seen(); slices.Contains(got, "+RouteConfiguration routes-service") {
		t.Errorf("routes to a refused cluster were sent: %v", got)
	}
	publish(t, r, resources(t, "a", "c")) // others go on
	e.has("+RouteConfiguration routes-service")
}

// TestARefusedChangeKeepsWhatWasThere: a cluster that is changed into one that
// an Envoy refuses stays what it was, and the routes change all the same.
func TestARefusedChangeKeepsWhatWasThere(t *testing.T) {
	r, e := connected(t, "a", "b")
	before := r.clusters()["b"]
	changed := configWith("a", "b", "c")
	changed.Backends["b"].LoadBalancing = &config.LoadBalancing{Policy: config.Random}
	e.refuses("b", "I do not like b")
	p, err := r.Publish(t.Context(), build(t, changed))
	if want := []SetAside{{Type: "Cluster", Name: "b", Node: "edge", Message: "I do not like b", Kept: true}}; err != nil || !slices.Equal(p.SetAside, want) {
		t.Fatalf("%+v, error %v", p, err)
	}
	e.has("+RouteConfiguration routes-service")
	if r.clusters()["b"] != before {
		t.Errorf("the cluster that was accepted is not served any more")
	}
	if got := e.seen(); slices.Contains(got, "-ClusterLoadAssignment b") {
		t.Errorf("what the accepted cluster needs was taken away: %v", got)
	}
}

// TestTheOneThatIsMeantIsFound: an Envoy that does not say which of many
// resources it refuses is asked in parts.
func TestTheOneThatIsMeantIsFound(t *testing.T) {
	r, e := connected(t, "a")
	e.refuses("k03", "one of these is wrong")
	e.refuses("k11", "one of these is wrong")
	names := []string{"a"}
	for i := range 16 {
		names = append(names, fmt.Sprintf("k%02d", i))
	}
	p, err := r.Publish(t.Context(), resources(t, names...))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, a := range p.SetAside {
		if a.Type == "Cluster" {
			found = append(found, a.Name)
		}
	}
	if want := []string{"k03", "k11"}; !slices.Equal(found, want) {
		t.Errorf("set aside: %v, want %v", found, want)
	}
	for _, name := range names {
		if refused := name == "k03" || name == "k11"; (r.clusters()[name] == nil) != refused {
			t.Errorf("%s: refused %v, served %v", name, refused, r.clusters()[name] != nil)
		}
	}
}

// TestNoLoopAfterRefusal: go-control-plane's snapshot cache sends what was
// refused again and again, 551 requests in 2 s. Here it is not even sent again
// when something else changes, for a while.
func TestNoLoopAfterRefusal(t *testing.T) {
	r, e := connected(t, "a")
	e.refuses("b", "no b")
	for _, more := range []string{"c", "d", "e"} {
		p, err := r.Publish(t.Context(), resources(t, "a", "b", more))
		if err != nil || len(p.SetAside) != 2 {
			t.Fatalf("%+v, error %v", p, err)
		}
		e.has("+ClusterLoadAssignment " + more)
	}
	n := 0
	for _, event := range e.seen() {
		if event == "+Cluster b" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the refused cluster was sent %d times, want once", n)
	}
}

// TestWhatMustNotLeaveDoesNot: a set without listeners would take all from the
// Envoys; one whose parts are not all there would answer 503.
func TestWhatMustNotLeaveDoesNot(t *testing.T) {
	r, e := connected(t, "a", "b")
	for name, spoil := range map[string]func(Resources){
		"is empty":        func(s Resources) { clear(s) },
		"has no listener": func(s Resources) { delete(s, resource.ListenerType) },
		"has no table":    func(s Resources) { delete(s, resource.RouteType) },
		"lacks a cluster": func(s Resources) { delete(s[resource.ClusterType], "b") },
		"lacks endpoints": func(s Resources) { delete(s, resource.EndpointType) },
	} {
		next := resources(t, "a", "b")
		spoil(next)
		if _, err := r.Publish(t.Context(), next); !errors.Is(err, ErrUnsafe) {
			t.Errorf("a set that %s: error %v", name, err)
		}
	}
	if got := e.seen(); len(got) > 0 {
		t.Errorf("something was sent: %v", got)
	}
}

func TestEnvoyThatLeavesIsNotWaitedFor(t *testing.T) {
	r, e := connected(t, "a")
	e.mu.Lock()
	e.hold[resource.ClusterType] = true
	e.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		_, err := r.Publish(t.Context(), resources(t, "a", "b"))
		done <- err
	}()
	e.has("+Cluster b")
	e.leave()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPublishEndsWithItsContext(t *testing.T) {
	r, e := connected(t, "a")
	e.mu.Lock()
	e.hold[resource.ClusterType] = true
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Publish(ctx, resources(t, "a", "b")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestManyEnvoysAreAllWaitedFor(t *testing.T) {
	r, first := connected(t, "a")
	second := r.connect(t, "edge-2")
	second.has("+RouteConfiguration routes-service")
	second.seen()
	second.mu.Lock()
	second.hold[resource.ClusterType] = true
	second.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		_, err := r.Publish(t.Context(), resources(t, "a", "b"))
		done <- err
	}()
	second.has("+Cluster b")
	first.has("+ClusterLoadAssignment b")
	if got := first.seen(); slices.Contains(got, "+RouteConfiguration routes-service") {
		t.Errorf("routes were sent before every Envoy had the cluster: %v", got)
	}
	second.release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	first.has("+RouteConfiguration routes-service")
	second.has("+RouteConfiguration routes-service")
}

// TestListenerCanBeRenamed: two listeners on one address are refused by Envoy,
// so the old name must go with the coming of the new.
func TestListenerCanBeRenamed(t *testing.T) {
	r, e := connected(t, "a")
	c := configWith("a")
	c.Listeners[0].Name = "renamed"
	publish(t, r, build(t, c))
	e.has("-Listener public")
	if got := e.seen(); !slices.Equal(got, []string{"+Listener renamed", "-Listener public"}) {
		t.Errorf("got %v, want both in one response", got)
	}
}

// TestAHurryWaitsForNobody: while one Envoy does not answer, what is published soon reaches
// the others, and so does what comes after it.
func TestAHurryWaitsForNobody(t *testing.T) {
	r, alive := connected(t, "a", "b")
	silent := r.connect(t, "silent")
	silent.has("+RouteConfiguration routes-service")
	silent.mu.Lock()
	silent.hold[resource.RouteType] = true
	silent.mu.Unlock()
	for _, backends := range [][]string{{"a"}, {"a", "b"}} {
		p, err := r.PublishSoon(t.Context(), resources(t, backends...))
		if err != nil || p.Settled {
			t.Errorf("%v: %+v, %v, though one has not answered", backends, p, err)
		}
		alive.has("+RouteConfiguration routes-service")
		alive.seen()
	}
	silent.release()
}
