package xds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// ErrRefused says that an Envoy would not take a resource. What was served
// before is served again.
var ErrRefused = errors.New("an Envoy refused the config")

// ackTimeout is how long a step waits for an Envoy that neither accepts nor
// refuses. An Envoy that is alive answers in milliseconds; one that is not is
// soon disconnected by the keepalive of its connection.
const ackTimeout = 10 * time.Second

// defaultLinger is how long clusters outlive the last route to them. A request
// keeps the route that it was given while it waits for its judgement, at most
// controlTimeout, and only then looks for its cluster.
const defaultLinger = controlTimeout + time.Second

// Publish hands a set of resources to every connected Envoy, in three steps:
// first the clusters and endpoints that are new or changed, then the listeners
// and routes, and last, some time after every Envoy has acknowledged those,
// what is no longer referred to is taken away. So no route ever names a cluster
// that an Envoy does not have, and no request fails because of a change.
//
// It returns when every Envoy runs the new config, or settled is false: some
// Envoy has not answered in time, and what is old is left where it is until
// the next publication. An error that is ErrRefused means that an Envoy
// refused a resource, and that the config before is published again.
func (s *Server) Publish(ctx context.Context, next Resources) (settled bool, err error) {
	select {
	case s.publish <- struct{}{}:
		defer func() { <-s.publish }()
	case <-ctx.Done():
		return false, fmt.Errorf("waiting for an earlier publication: %w", ctx.Err())
	}
	s.publications++
	before := s.current
	settled, err = s.makeBeforeBreak(ctx, next)
	if errors.Is(err, ErrRefused) && before != nil {
		next = before
		acked, undo := s.makeBeforeBreak(ctx, next)
		if undo != nil {
			return false, errors.Join(err, fmt.Errorf("publishing the config before it again: %w", undo))
		}
		if acked {
			s.tracker.expect(want{}) // what was refused is not waited for any more
			s.retireLater(next)
		}
	}
	if settled {
		s.retireLater(next)
	}
	return settled, err
}

// retireLater takes away what current does not have, unless something else is
// published before the time comes: then that publication will.
func (s *Server) retireLater(current Resources) {
	publication := s.publications
	time.AfterFunc(s.linger, func() {
		select {
		case s.publish <- struct{}{}:
			defer func() { <-s.publish }()
		case <-s.ctx.Done():
			return
		}
		if publication != s.publications {
			return
		}
		if err := s.retire(current); err != nil {
			s.log.Error("what is no longer referred to cannot be taken away", "error", err)
		}
	})
}

// makeBeforeBreak takes s.current to next, with what is old still beside it.
func (s *Server) makeBeforeBreak(ctx context.Context, next Resources) (settled bool, err error) {
	steps := [][]resource.Type{
		{resource.EndpointType, resource.ClusterType},
		// Routes before scopes and listeners, so that these find their tables.
		{resource.RouteType, resource.ScopedRouteType, resource.ListenerType},
	}
	settled = true
	for _, types := range steps {
		acked, err := s.offer(ctx, next, types)
		if err != nil {
			return false, err
		}
		settled = settled && acked
	}
	if !settled {
		return false, nil
	}
	// The scope of a host that no route names any more goes at once: as long as
	// it is there, its table answers, and not that of all other hosts.
	return true, s.change(resource.ScopedRouteType, next, nil, s.gone(resource.ScopedRouteType, next))
}

// offer adds and changes what is new in these types, and waits for every
// Envoy's word on it.
func (s *Server) offer(ctx context.Context, next Resources, typs []resource.Type) (acked bool, err error) {
	wanted := want{}
	for _, t := range typs {
		wanted[t] = s.newVersions(t, next)
	}
	if wanted.empty() && len(s.gone(resource.ListenerType, next)) == 0 {
		return true, nil
	}
	s.tracker.expect(wanted)
	for _, t := range typs {
		changes := map[string]types.Resource{}
		for name := range wanted[t] {
			changes[name] = next[t][name].Message
		}
		var remove []string
		if t == resource.ListenerType {
			// A listener that goes is taken away with the ones that come:
			// Envoy removes first, so that an address can change its name.
			remove = s.gone(t, next)
		}
		if err := s.change(t, next, changes, remove); err != nil {
			return false, err
		}
	}
	return s.await(ctx)
}

// retire takes away what next does not have.
func (s *Server) retire(next Resources) error {
	for _, t := range slices.Backward(Types) {
		if err := s.change(t, next, nil, s.gone(t, next)); err != nil {
			return err
		}
	}
	return nil
}

// change alters one type in its cache, and in current, which is what the
// caches hold.
func (s *Server) change(t resource.Type, next Resources, changes map[string]types.Resource, remove []string) error {
	if len(changes) == 0 && len(remove) == 0 {
		return nil
	}
	// Copies: what a publication goes back to on a refusal must not change.
	merged := maps.Clone(s.current[t])
	if merged == nil {
		merged = map[string]Resource{}
	}
	for _, name := range remove {
		delete(merged, name)
	}
	for name := range changes {
		merged[name] = next[t][name]
	}
	current := maps.Clone(s.current)
	if current == nil {
		current = Resources{}
	}
	current[t] = merged
	s.current = current
	if err := s.caches[t].UpdateResources(changes, remove); err != nil {
		return fmt.Errorf("offering %s resources: %w", shortType(t), err)
	}
	return nil
}

// newVersions are the resources of next that differ from what is served.
func (s *Server) newVersions(t resource.Type, next Resources) map[string]string {
	out := map[string]string{}
	for name, r := range next[t] {
		if s.current[t][name].Version != r.Version {
			out[name] = r.Version
		}
	}
	return out
}

// gone are the names that are served and that next does not have.
func (s *Server) gone(t resource.Type, next Resources) []string {
	var out []string
	for name := range s.current[t] {
		if _, ok := next[t][name]; !ok {
			out = append(out, name)
		}
	}
	return out
}

// await waits until every Envoy has taken what is wanted, or one refuses it.
// Envoys that are still behind after ackTimeout are not waited for.
func (s *Server) await(ctx context.Context) (acked bool, err error) {
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	for {
		p := s.tracker.progress()
		if len(p.refused) > 0 {
			return false, fmt.Errorf("%w: %s", ErrRefused, strings.Join(p.refused, "; "))
		}
		if len(p.behind) == 0 {
			return true, nil
		}
		select {
		case <-p.changed:
		case <-timeout.C:
			s.log.Warn("envoys do not answer; what is old stays until they do", "nodes", p.behind)
			return false, nil
		case <-ctx.Done():
			return false, fmt.Errorf("waiting for the acknowledgement of %s: %w", strings.Join(p.behind, ", "), ctx.Err())
		}
	}
}
