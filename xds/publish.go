package xds

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// ackTimeout is how long a step waits for an Envoy that neither accepts nor
// refuses. An Envoy that is alive answers in milliseconds; one that is not is
// soon disconnected by the keepalive of its connection.
const ackTimeout = 10 * time.Second

// soonTimeout is how long it waits where others are in a hurry.
const soonTimeout = 500 * time.Millisecond

// defaultLinger is how long clusters outlive the last route to them. A request
// keeps the route that it was given while it waits for its judgement, at most
// controlTimeout, and only then looks for its cluster.
const defaultLinger = controlTimeout + time.Second

// Publication is what became of a set of resources.
type Publication struct {
	// Settled tells that every connected Envoy runs it. Otherwise some Envoy has
	// not answered in time, and what is old is left where it is until the next
	// publication.
	Settled bool
	// SetAside are the resources that an Envoy has refused, or that refer to
	// such a one which was never there. In place of each, the last one that was
	// accepted is served, if there is one.
	SetAside []SetAside
}

// Publish hands a set of resources to every connected Envoy, in three steps:
// first the clusters and endpoints that are new or changed, with the secrets by which
// they are spoken to, then the listeners with theirs and the routes, and last, some time after every Envoy has acknowledged those,
// what is no longer referred to is taken away. So no route ever names a cluster
// that an Envoy does not have, and no request fails because of a change.
//
// What an Envoy refuses is set aside, and the rest is published. An error means
// that nothing has been: the set is one that must not leave (ErrUnsafe), or the
// context has ended.
func (s *Server) Publish(ctx context.Context, next Resources) (Publication, error) {
	return s.publishWithin(ctx, next, ackTimeout)
}

// PublishSoon is Publish for what every Envoy can take at any time, and what comes after
// it must not wait for one that does not answer: it is waited for as long as one that is
// alive takes.
func (s *Server) PublishSoon(ctx context.Context, next Resources) (Publication, error) {
	return s.publishWithin(ctx, next, soonTimeout)
}

func (s *Server) publishWithin(ctx context.Context, next Resources, patience time.Duration) (Publication, error) {
	if err := s.enter(ctx); err != nil {
		return Publication{}, err
	}
	defer s.leave()
	s.patience = patience
	if err := s.unsafe(next); err != nil {
		return Publication{}, err
	}
	s.publications++
	p, target, err := s.publishWhatIsAccepted(ctx, next)
	if err != nil {
		return p, err
	}
	s.accepted = target
	if p.Settled {
		s.retireLater(target)
	}
	return p, nil
}

// enter waits for the turn to publish.
func (s *Server) enter(ctx context.Context) error {
	select {
	case s.publish <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for an earlier publication: %w", ctx.Err())
	}
}

func (s *Server) leave() { <-s.publish }

// retireLater takes away what current does not have, unless something else is
// published before the time comes: then that publication will.
func (s *Server) retireLater(current Resources) {
	publication := s.publications
	time.AfterFunc(s.linger, func() {
		if s.enter(s.ctx) != nil {
			return
		}
		defer s.leave()
		if publication != s.publications {
			return
		}
		if err := s.retire(current); err != nil {
			s.log.Error("what is no longer referred to cannot be taken away", "error", err)
		}
	})
}

// makeBeforeBreak takes s.current to next, with what is old still beside it. It
// ends at the first step of which something is refused.
func (s *Server) makeBeforeBreak(ctx context.Context, next Resources) (settled bool, refused []refusal, err error) {
	byClusters := next.referredBy(resource.ClusterType)
	steps := []step{
		// Secrets with what names them: an Envoy asks for no others. A cluster is not
		// used before its secrets have come.
		{[]resource.Type{resource.SecretType, resource.EndpointType, resource.ClusterType}, func(of id) bool { return of.typ != resource.SecretType || byClusters[of] }},
		// Routes before scopes and listeners, so that these find their tables.
		{[]resource.Type{resource.SecretType, resource.ExtensionConfigType, resource.RouteType, resource.ScopedRouteType, resource.ListenerType}, func(id) bool { return true }},
	}
	settled = true
	for _, step := range steps {
		acked, refused, err := s.offer(ctx, next, step)
		if err != nil || len(refused) > 0 {
			return false, refused, err
		}
		settled = settled && acked
	}
	if !settled {
		return false, nil, nil
	}
	// The scope of a host that no route names any more goes at once: as long as
	// it is there, its table answers, and not that of all other hosts.
	return true, nil, s.change(resource.ScopedRouteType, next, nil, s.gone(resource.ScopedRouteType, next))
}

// step is what is offered at once: the resources of these types that it has.
type step struct {
	types []resource.Type
	has   func(id) bool
}

// offer adds and changes what is new in a step, and waits for every Envoy's word on
// it.
func (s *Server) offer(ctx context.Context, next Resources, of step) (acked bool, refused []refusal, err error) {
	wanted, fresh := want{}, map[resource.Type]map[string]string{}
	referred := next.referred()
	for _, t := range of.types {
		fresh[t] = s.newVersions(t, next)
		maps.DeleteFunc(fresh[t], func(name, _ string) bool { return !of.has(id{t, name}) })
		asked := maps.Clone(fresh[t])
		if t == resource.RouteType || t == resource.EndpointType || t == resource.SecretType || t == resource.ExtensionConfigType {
			// No Envoy asks for a table of a form that listeners have left.
			maps.DeleteFunc(asked, func(name, _ string) bool { return !referred[id{t, name}] })
		}
		wanted[t] = wantedOf{versions: asked, cacheVersion: s.cacheVersions[t] + 1}
	}
	s.tracker.expect(wanted)
	for _, t := range of.types {
		changes := map[string]types.Resource{}
		for name := range fresh[t] {
			changes[name] = next[t][name].offered()
		}
		var remove []string
		if t == resource.ListenerType {
			// A listener that goes is taken away with the ones that come:
			// Envoy removes first, so that an address can change its name.
			remove = s.gone(t, next)
		}
		if err := s.change(t, next, changes, remove); err != nil {
			return false, nil, err
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
	s.cacheVersions[t]++
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
// Envoys that are still behind after s.patience are not waited for.
func (s *Server) await(ctx context.Context) (acked bool, refused []refusal, err error) {
	timeout := time.NewTimer(s.patience)
	defer timeout.Stop()
	for {
		p := s.tracker.progress()
		if len(p.refused) > 0 {
			return false, p.refused, nil
		}
		if len(p.behind) == 0 {
			return true, nil, nil
		}
		select {
		case <-p.changed:
		case <-timeout.C:
			s.log.Warn("envoys do not answer; what is old stays until they do", "nodes", p.behind)
			return false, nil, nil
		case <-ctx.Done():
			return false, nil, fmt.Errorf("waiting for the acknowledgement of %s: %w", strings.Join(p.behind, ", "), ctx.Err())
		}
	}
}
