package xds

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// ErrUnsafe says that a set of resources must not leave: it would take all
// listeners from the Envoys, or refers to what is not in it.
var ErrUnsafe = errors.New("not a set of resources to publish")

// unsafe is why a set must not leave, or nil.
func (s *Server) unsafe(next Resources) error {
	if len(next[resource.ListenerType]) == 0 && len(s.current[resource.ListenerType]) > 0 {
		return fmt.Errorf("%w: it has no listener, and would take all from the Envoys", ErrUnsafe)
	}
	if d := next.dangling(); len(d) > 0 {
		return fmt.Errorf("%w: %s", ErrUnsafe, d[0])
	}
	return nil
}

// dangling is a reference to a resource that is not there.
type dangling struct{ from, to id }

func (d dangling) String() string {
	return fmt.Sprintf("%s %q refers to %s %q, which is not there",
		shortType(d.from.typ), d.from.name, shortType(d.to.typ), d.to.name)
}

// dangling are the references that lead nowhere, in an order that does not change.
func (r Resources) dangling() []dangling {
	var out []dangling
	for t, byName := range r {
		for name, res := range byName {
			for _, to := range res.refers {
				if _, ok := r[to.typ][to.name]; !ok {
					out = append(out, dangling{id{t, name}, to})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b dangling) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// referred are the resources that another refers to.
func (r Resources) referred() map[id]bool {
	return r.referredBy(slices.Collect(maps.Keys(r))...)
}

// referredBy are those that one of these types refers to.
func (r Resources) referredBy(types ...resource.Type) map[id]bool {
	out := map[id]bool{}
	for _, t := range types {
		for _, res := range r[t] {
			for _, to := range res.refers {
				out[to] = true
			}
		}
	}
	return out
}

// clusterSet gathers the clusters that a table names, each once.
type clusterSet struct {
	seen map[string]bool
	ids  []id
}

func (s *clusterSet) add(names []string) {
	for _, name := range names {
		if !s.seen[name] {
			if s.seen == nil {
				s.seen = map[string]bool{}
			}
			s.seen[name] = true
			s.ids = append(s.ids, id{resource.ClusterType, name})
		}
	}
}

// clustersOf are the clusters that routes send requests to.
func clustersOf(routes []*routev3.Route) []string {
	var out []string
	for _, r := range routes {
		if name := r.GetRoute().GetCluster(); name != "" {
			out = append(out, name)
		}
		for _, side := range r.GetRoute().GetWeightedClusters().GetClusters() {
			out = append(out, side.GetName())
		}
		for _, m := range r.GetRoute().GetRequestMirrorPolicies() {
			out = append(out, m.GetCluster())
		}
	}
	return out
}
