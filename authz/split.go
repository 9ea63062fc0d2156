package authz

import (
	"slices"
	"strings"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/split"
)

// Split is how Check chooses among a route's backends, where it depends on who
// the caller is. It is immutable.
type Split struct {
	// Claim is the one that pins callers to a backend, by Pins, its values. Empty:
	// none does.
	Claim string
	Pins  map[string]string
	// Sticky is what callers are kept on their side of Line by: the first of it
	// that a request has. Empty: Envoy's choice stands.
	Sticky []config.StickyPart
	Line   split.Line
}

// newSplit is that of a route; nil where it does not depend on the caller.
func newSplit(r *config.Route) *Split {
	if !r.PinnedByClaim() && !r.KeptByCaller() {
		return nil
	}
	s := SplitOf(r)
	if !r.KeptByCaller() {
		s.Sticky, s.Line = nil, nil // Envoy keeps them
	}
	return s
}

// SplitOf is how callers are kept on a side of a route's split, whoever does it.
func SplitOf(r *config.Route) *Split {
	s := &Split{Sticky: r.Sticky}
	if r.PinnedByClaim() {
		s.Claim, s.Pins = r.Pin.Claim, r.Pin.Values
	}
	if len(r.Sticky) > 0 {
		s.Line = split.Of(r.To)
	}
	return s
}

// Side is the backend of a split that a request goes to, and why. The zero value is
// that chance decides.
type Side struct {
	Backend string
	// Pinned: the caller's claim says so.
	Pinned bool
	// Part is what the caller is kept by, and Point its place on the line.
	Part  config.StickyPart
	Point uint32
	// Unknown: it depends on who the caller is, and that is not known.
	Unknown bool
}

// side is the backend that the request goes to by who its caller is; empty where
// that is left to Envoy. What a header or a cookie has pinned stays.
func (r *request) side(s *Split, id *Identity) string {
	if s == nil || r.unrouted || r.pinned {
		return ""
	}
	return r.sideOf(s, id, true).Backend
}

// sideOf is the side of a request whose caller is known, or is not.
func (r *request) sideOf(s *Split, id *Identity, known bool) Side {
	if s.Claim != "" && !known {
		return Side{Unknown: true}
	}
	if backend, ok := s.pinned(id); ok {
		return Side{Backend: backend, Pinned: true}
	}
	for _, part := range s.Sticky {
		if part.OfCaller() && !known {
			return Side{Unknown: true}
		}
		if values := r.keptBy(part, id); len(values) > 0 {
			point := split.Point(values...)
			return Side{Backend: s.Line.At(point), Part: part, Point: point}
		}
	}
	return Side{}
}

// pinned is the backend that the caller's claim says, if it does.
func (s *Split) pinned(id *Identity) (backend string, ok bool) {
	if s.Claim == "" {
		return "", false
	}
	list, isList := id.Claims[s.Claim].([]any)
	if !isList {
		list = []any{id.Claims[s.Claim]}
	}
	for _, element := range list {
		if backend, ok = s.Pins[claimText(element)]; ok {
			return backend, true
		}
	}
	return "", false
}

// keptBy is what the caller is kept by, by one part: one value, but for a header
// that is there more than once; none where the request has no such thing.
func (r *request) keptBy(part config.StickyPart, id *Identity) []string {
	if name, is := part.Header(); is {
		return r.hashedHeader(name)
	}
	if key := r.stickyValue(part, id); key != "" {
		return []string{key}
	}
	return nil
}

// stickyValue is that of a part that is no header.
func (r *request) stickyValue(part config.StickyPart, id *Identity) string {
	if name, is := part.Cookie(); is {
		return r.cookie(name)
	}
	if name, is := part.Claim(); is {
		return claimText(id.Claims[name])
	}
	switch config.KeyPart(part) {
	case config.KeyUser:
		return id.userKey()
	case config.KeyTenant:
		return id.Tenant
	case config.KeyAPIKey:
		return id.KeyID
	case config.KeyClientIP:
		return r.clientIP()
	}
	return ""
}

// hashedHeader are the lines of a header in the order in which Envoy hashes them, so
// that a caller is on one side of routes where Envoy decides and of those where Check
// does.
func (r *request) hashedHeader(name string) []string {
	var values []string
	for _, line := range r.lines {
		if strings.EqualFold(line.name, name) {
			values = append(values, line.value)
		}
	}
	slices.Sort(values)
	return values
}

// cookie is the value of a cookie as Envoy reads it: that of the first of the
// name, without the quotes around it. Empty where there is none.
func (r *request) cookie(name string) string {
	for _, line := range r.lines {
		if !strings.EqualFold(line.name, "cookie") {
			continue
		}
		if value, ok := split.Cookie(line.value, name); ok {
			return value
		}
	}
	return ""
}
