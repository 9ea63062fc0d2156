package xds

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// EnvoysCluster is the cluster, given in Envoy's bootstrap, that has as many endpoints as
// there are Envoys. It is what Envoy calls its local cluster: a limit that runs inside
// Envoy is divided by the number of its endpoints, and a change of that number keeps what
// has been counted. A node whose bootstrap has it says so under this name in its metadata.
const EnvoysCluster = "gatewright-envoys"

const (
	// envoysEvery is how often the Envoys are counted.
	envoysEvery = 200 * time.Millisecond
	// envoysFor is for how long an Envoy is counted that is connected no more: one that
	// is alive is back by then, and has gone on to serve.
	envoysFor = 5 * time.Second
	// envoysRecalled is for how long what Envoys bring with them from an earlier stream
	// is believed: a Gatewright that has just started hears of one after the other, and
	// no one of them is to believe meanwhile that it is alone. Envoy tries again within
	// 30 s, however often it has failed.
	envoysRecalled = 30 * time.Second
	// envoysExpected is for how long after the start an instance without Envoys is counted
	// as if it had one: so the first one that comes has its share from its start on.
	envoysExpected = 10 * time.Second
	// envoysWait is how long the first answer to an Envoy waits for a publication that is
	// under way: that may wait for this Envoy.
	envoysWait = 50 * time.Millisecond
	// unsharedWait bounds BeforeUnshared: a publication in it may wait for an Envoy that
	// does not answer.
	unsharedWait = ackTimeout + 2*time.Second
	// mostEnvoys bounds what is counted and recalled.
	mostEnvoys = 10_000
)

// Fleet is what is known of the Envoys of this gateway. The zero value is one without any.
type Fleet struct {
	// Envoys is how many there are, over all instances.
	Envoys int
	// Unshared tells that one of those that are connected here cannot be told its share
	// of a limit: its bootstrap lacks EnvoysCluster.
	Unshared bool
}

// Fleet returns what is known now. It is a small thing to ask.
func (s *Server) Fleet() Fleet {
	return Fleet{Envoys: s.envoys.served(), Unshared: !s.tracker.shares()}
}

// BeforeUnshared has a function called when an Envoy connects that cannot be told its share
// of a limit, before it gets anything: one that gets filters of limits, which it has to
// refuse, would answer with a 500 on their routes. The function publishes what such an Envoy
// can have, and that does not wait for it. It is given no longer than unsharedWait.
// BeforeUnshared is called before the first Envoy can connect.
func (s *Server) BeforeUnshared(do func(context.Context)) { s.beforeUnshared = do }

// greet holds back the first answer to an Envoy that cannot be told its share.
func (s *Server) greet(id streamID) {
	if s.beforeUnshared == nil || !s.tracker.hold(id) {
		return
	}
	defer s.tracker.release(id)
	ctx, cancel := context.WithTimeout(s.ctx, unsharedWait)
	defer cancel()
	s.beforeUnshared(ctx)
}

// ExpectEnvoys is called before the first Envoy can connect, so that it has its share
// from its start on. all is told how many are connected here, and returns how many there
// are with those of other instances; nil knows of none.
func (s *Server) ExpectEnvoys(ctx context.Context, all func(here int) int) {
	s.envoys.begin(all, time.Now())
	s.recountEnvoys(ctx)
}

// CountEnvoys tells all Envoys how many they are, until the context ends.
func (s *Server) CountEnvoys(ctx context.Context) {
	beat := time.NewTicker(envoysEvery)
	defer beat.Stop()
	for {
		s.recountEnvoys(ctx)
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
	}
}

// recountEnvoys serves how many there are, in its turn to publish.
func (s *Server) recountEnvoys(ctx context.Context) {
	if s.envoys.count(s.tracker.connected(), time.Now()) == s.envoys.served() || s.enter(ctx) != nil {
		return
	}
	defer s.leave()
	if err := s.serveEnvoys(s.envoys.count(s.tracker.connected(), time.Now())); err != nil {
		s.log.Error("envoys cannot be told how many they are", "error", err)
	}
}

// envoysAsked counts an Envoy that asks for its share before it has the answer.
func (s *Server) envoysAsked(m *discoveryv3.DeltaDiscoveryRequest) {
	if m.GetTypeUrl() != resource.EndpointType || !slices.Contains(m.GetResourceNamesSubscribe(), EnvoysCluster) {
		return
	}
	s.envoys.recall(m, time.Now())
	ctx, cancel := context.WithTimeout(s.ctx, envoysWait)
	defer cancel()
	s.recountEnvoys(ctx)
}

// serveEnvoys serves as many endpoints. It is called in the turn to publish, since it
// changes a cache.
func (s *Server) serveEnvoys(n int) error {
	s.cacheVersions[resource.EndpointType]++
	if err := s.caches[resource.EndpointType].UpdateResources(map[string]types.Resource{EnvoysCluster: envoysAssignment(n)}, nil); err != nil {
		return fmt.Errorf("offering %d endpoints of %s: %w", n, EnvoysCluster, err)
	}
	s.envoys.serve(n)
	return nil
}

// envoysAssignment is as many endpoints, each at an address of its own (two at one are
// one to Envoy). Nothing is ever sent there: no route names the cluster, and names of the
// config cannot begin like its own.
func envoysAssignment(n int) *endpointv3.ClusterLoadAssignment {
	locality := &endpointv3.LocalityLbEndpoints{}
	for i := range n {
		locality.LbEndpoints = append(locality.LbEndpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: fmt.Sprintf("envoy/%d", i)}}},
			}},
		})
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: EnvoysCluster, Endpoints: []*endpointv3.LocalityLbEndpoints{locality}}
}

// envoyCount is how many Envoys there are.
type envoyCount struct {
	mu sync.Mutex // guards all below
	// now is what is served.
	now int
	// all is the function of ExpectEnvoys, nil before it, and since when it is there.
	all   func(here int) int
	since time.Time
	// here are the counts of the last envoysFor.
	here []countedEnvoys
	// recalled is the most that an Envoy has brought with it, believed until recalledTo.
	recalled   int
	recalledTo time.Time
}

// countedEnvoys is a number, and when it was last counted.
type countedEnvoys struct {
	n  int
	at time.Time
}

func (c *envoyCount) served() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *envoyCount) serve(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = n
}

func (c *envoyCount) begin(all func(here int) int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all, c.since = all, now
}

// count is how many there are when so many are connected.
func (c *envoyCount) count(connected int, now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	here := c.lately(connected, now)
	if now.Sub(c.since) < envoysExpected {
		here = max(here, 1)
	}
	n := here
	if c.all != nil {
		n = c.all(here) // two atomic numbers
	}
	if now.Before(c.recalledTo) {
		n = max(n, c.recalled)
	}
	return min(max(n, 1), mostEnvoys)
}

// lately is the most that were connected in the last envoysFor. It is called with mu held.
func (c *envoyCount) lately(connected int, now time.Time) int {
	if last := len(c.here) - 1; last >= 0 && c.here[last].n == connected {
		c.here[last].at = now
	} else {
		c.here = append(c.here, countedEnvoys{connected, now})
	}
	most, kept := 0, c.here[:0]
	for _, counted := range c.here {
		if now.Sub(counted.at) < envoysFor {
			most, kept = max(most, counted.n), append(kept, counted)
		}
	}
	c.here = kept
	return most
}

// recall believes an Envoy that was told, on a stream before this one, how many there
// are: it brings the version of what it has.
func (c *envoyCount) recall(m *discoveryv3.DeltaDiscoveryRequest, now time.Time) {
	version := m.GetInitialResourceVersions()[EnvoysCluster]
	if version == "" {
		return
	}
	n := envoysOfVersion(version, c.served())
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.After(c.recalledTo) {
		c.recalled = 0
	}
	c.recalled, c.recalledTo = max(c.recalled, n), now.Add(envoysRecalled)
}

// mostRecalled bounds the search for what a version stands for; fleets beyond it are
// counted anew. It takes some 10 ms in the worst case, once for each stream.
const mostRecalled = 256

// envoysOfVersion is the number of endpoints that have this version, 0 where that is
// none that this Gatewright serves. likely is looked at first.
func envoysOfVersion(version string, likely int) int {
	if version == envoysVersion(likely) {
		return likely
	}
	for n := range mostRecalled {
		if version == envoysVersion(n+1) {
			return n + 1
		}
	}
	return 0
}

// envoysVersion is the version of so many endpoints, as the cache names it.
func envoysVersion(n int) string { return cachev3.HashResource(encoded(envoysAssignment(n))) }
