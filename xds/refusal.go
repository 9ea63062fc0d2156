package xds

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// SetAside is a resource that is not served, because an Envoy would not take it.
type SetAside struct {
	// Type is the kind of resource, as Listener; Name is its name.
	Type string `json:"type"`
	Name string `json:"name"`
	// Node is the Envoy that refused it, and Message what it says, in its own
	// words.
	Node    string `json:"node"`
	Message string `json:"message"`
	// Kept tells that the last one of the name that was accepted is served.
	// Otherwise there has been none.
	Kept bool `json:"kept"`
}

func (a SetAside) String() string {
	instead := "there is none to serve instead"
	if a.Kept {
		instead = "the last one that was accepted is served"
	}
	return fmt.Sprintf("%s %s: refused by Envoy %s: %s (%s)", a.Type, a.Name, a.Node, a.Message, instead)
}

// How a refusal is answered: not faster than an Envoy can be asked without
// being worn out, and the same thing not again and again.
const (
	// defaultPause goes before each attempt to publish the rest.
	defaultPause = 250 * time.Millisecond
	// refusalMemory is how long what was refused is not offered again, though
	// other things change. It may be accepted later: an address may become free.
	refusalMemory = 30 * time.Second
)

// refusal is an Envoy's word on a response of a step.
type refusal struct {
	node    string
	typ     resource.Type
	names   []string // what the response offered of the step
	message string
}

// suspects are the resources that the refusal may be meant for: those that
// Envoy names, or else all.
func (r refusal) suspects() []string {
	named := slices.DeleteFunc(slices.Clone(r.names), func(name string) bool {
		return !regexp.MustCompile(`(^|[^A-Za-z0-9._-])` + regexp.QuoteMeta(name) + `($|[^A-Za-z0-9_-])`).MatchString(r.message)
	})
	if len(named) > 0 {
		return named
	}
	return r.names
}

// id is a resource of a set.
type id struct {
	typ  resource.Type
	name string
}

// held are the resources that are not served in the version that they have.
type held map[id]heldVersion

type heldVersion struct {
	version string
	refusal refusal
	at      time.Time
}

// publishWhatIsAccepted publishes next without what is refused of it, and
// returns what it has published instead.
func (s *Server) publishWhatIsAccepted(ctx context.Context, next Resources) (Publication, Resources, error) {
	s.held = s.held.stillIn(next, time.Now())
	for {
		target := s.without(next, s.held)
		settled, refused, err := s.makeBeforeBreak(ctx, target)
		if err != nil {
			return Publication{}, nil, err
		}
		if len(refused) == 0 {
			if len(s.held) > 0 {
				// What was refused is not waited for any more.
				s.tracker.expect(want{})
			}
			return Publication{Settled: settled, SetAside: s.setAside(next, target)}, target, nil
		}
		if err := s.findRefused(ctx, next, refused); err != nil {
			return Publication{}, nil, err
		}
	}
}

// findRefused adds to s.held what has been refused. Where a refusal names
// several resources, they are offered again in ever smaller parts.
func (s *Server) findRefused(ctx context.Context, next Resources, refused []refusal) error {
	var parts []refusal
	for _, r := range refused {
		if r.names = r.suspects(); len(r.names) > 1 {
			parts = append(parts, r)
		}
		if err := s.hold(next, r); err != nil {
			return err
		}
	}
	for len(parts) > 0 {
		part := parts[0]
		parts = parts[1:]
		for half := range slices.Chunk(part.names, (len(part.names)+1)/2) {
			again, err := s.tryPart(ctx, next, part, half)
			if err != nil {
				return err
			}
			parts = append(parts, again...)
		}
	}
	return s.pauseBetween(ctx)
}

// tryPart offers some of what is held. What is refused again is held again, and
// returned.
func (s *Server) tryPart(ctx context.Context, next Resources, part refusal, names []string) ([]refusal, error) {
	for _, name := range names {
		delete(s.held, id{part.typ, name})
	}
	if err := s.pauseBetween(ctx); err != nil {
		return nil, err
	}
	_, refused, err := s.makeBeforeBreak(ctx, s.without(next, s.held))
	if err != nil {
		return nil, err
	}
	var again []refusal
	for _, r := range refused {
		if r.names = r.suspects(); len(r.names) > 1 {
			again = append(again, r)
		}
		if err := s.hold(next, r); err != nil {
			return nil, err
		}
	}
	return again, nil
}

// hold keeps what a refusal may be meant for from being served. What was never
// accepted is taken out of the cache at once, so that it is new when it is
// offered again.
func (s *Server) hold(next Resources, r refusal) error {
	var never []string
	for _, name := range r.names {
		s.held[id{r.typ, name}] = heldVersion{version: next[r.typ][name].Version, refusal: r, at: time.Now()}
		if _, ok := s.accepted[r.typ][name]; !ok {
			never = append(never, name)
		}
	}
	return s.change(r.typ, nil, nil, never)
}

func (s *Server) pauseBetween(ctx context.Context) error {
	select {
	case <-time.After(s.pause):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("setting aside what was refused: %w", ctx.Err())
	}
}

// stillIn is what of a set has been refused not long ago.
func (h held) stillIn(next Resources, now time.Time) held {
	out := maps.Clone(h)
	if out == nil {
		out = held{}
	}
	maps.DeleteFunc(out, func(of id, v heldVersion) bool {
		return next[of.typ][of.name].Version != v.version || now.Sub(v.at) > refusalMemory
	})
	return out
}

// without is a set with the accepted resources in place of those that are held,
// and of those that refer to what is then not there.
func (s *Server) without(next Resources, h held) Resources {
	if len(h) == 0 {
		return next
	}
	out := Resources{}
	for t, byName := range next {
		out[t] = maps.Clone(byName)
	}
	for of := range h {
		s.restore(out, of)
	}
	for again := true; again; {
		again = false
		for _, d := range out.dangling() {
			again = true
			if _, ok := s.accepted[d.to.typ][d.to.name]; ok && out[d.from.typ][d.from.name].Version == s.accepted[d.from.typ][d.from.name].Version {
				s.restore(out, d.to) // what an accepted one refers to was accepted
			} else {
				s.restore(out, d.from)
			}
		}
	}
	return out
}

// restore puts the accepted version in place of a resource, or takes it away.
func (s *Server) restore(out Resources, of id) {
	if before, ok := s.accepted[of.typ][of.name]; ok {
		if out[of.typ] == nil {
			out[of.typ] = map[string]Resource{}
		}
		out[of.typ][of.name] = before
	} else {
		delete(out[of.typ], of.name)
	}
}

// setAside is what target has otherwise than next: what is held, and what
// refers to it.
func (s *Server) setAside(next, target Resources) []SetAside {
	var out []SetAside
	for t, byName := range next {
		for name, r := range byName {
			served, kept := target[t][name]
			if kept && served.Version == r.Version {
				continue
			}
			a := SetAside{Type: shortType(t), Name: name, Kept: kept}
			if h, ok := s.held[id{t, name}]; ok {
				a.Node, a.Message = h.refusal.node, h.refusal.message
			} else {
				a.Message = "it refers to what was refused"
			}
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b SetAside) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name))
	})
	return out
}
