package transcoding

import (
	"net/url"
	"slices"
	"strings"
)

// Path is what a route takes: some segments, and with Rest any number behind
// them.
type Path struct {
	Segments []Segment
	Rest     bool
}

// Segment is one of a route's path.
type Segment struct {
	// Any takes every segment but an empty one; otherwise it is Literal.
	Any     bool
	Literal string
}

// Fits tells whether some request that a route takes is one of the binding.
// methods are the route's; none is all.
func (b *Binding) Fits(path Path, methods []string) bool {
	if b.Verb != "*" && len(methods) > 0 && !slices.Contains(methods, b.Verb) {
		return false
	}
	return meet(path, b.pattern.segments, b.pattern.verb)
}

// meet tells whether a path and a template have a request in common.
func meet(path Path, segments []segment, verb string) bool {
	for i, s := range segments {
		if i == len(path.Segments) {
			return path.Rest || s.rest && verb == ""
		}
		own, last := path.Segments[i], i == len(segments)-1
		switch {
		case s.rest:
			return true
		case own.Any:
		case last && verb != "":
			if rest, ok := strings.CutSuffix(own.Literal, ":"+verb); !ok || s.literal != "" && rest != s.literal || rest == "" {
				return false
			}
		case s.literal != "" && own.Literal != s.literal, own.Literal == "":
			return false
		}
	}
	return len(path.Segments) == len(segments)
}

// Match is a request of a binding.
type Match struct {
	*Binding
	// Fields are those that have their values from the path, in its order.
	Fields []Field
}

// Field is a field of the message and its value, decoded.
type Field struct{ Name, Value string }

// Find is what a request becomes, as Envoy takes it: at the first segment in which
// two bindings differ, a literal goes before a variable, and that before the rest.
// path is without its query. Nil is that none takes it.
func (s *Set) Find(verb, path string) *Match {
	var best *Binding
	for i := range s.Bindings {
		b := &s.Bindings[i]
		if (b.Verb == verb || b.Verb == "*") && b.pattern.takes(path) && (best == nil || before(b, best)) {
			best = b
		}
	}
	if best == nil {
		return nil
	}
	return &Match{best, best.pattern.fields(path)}
}

// cut cuts a path as a template with this verb sees it.
func (t *template) cut(path string) (parts []string, ok bool) {
	path, absolute := strings.CutPrefix(path, "/")
	if !absolute {
		return nil, false
	}
	if t.verb != "" {
		var has bool
		if path, has = strings.CutSuffix(path, ":"+t.verb); !has {
			return nil, false
		}
	}
	return strings.Split(path, "/"), true
}

func (t *template) takes(path string) bool {
	parts, ok := t.cut(path)
	if !ok {
		return false
	}
	for i, s := range t.segments {
		switch {
		case s.rest:
			return true
		case i == len(parts), parts[i] == "", s.literal != "" && s.literal != parts[i]:
			return false
		}
	}
	return len(parts) == len(t.segments)
}

func (t *template) fields(path string) []Field {
	parts, _ := t.cut(path)
	var all []Field
	for _, v := range t.variables {
		to := v.to
		if t.segments[v.to-1].rest {
			to = len(parts)
		}
		value := strings.Join(parts[min(v.from, len(parts)):to], "/")
		if decoded, err := url.PathUnescape(value); err == nil {
			value = decoded
		}
		all = append(all, Field{v.field, value})
	}
	return all
}

// before tells which of two bindings of one path goes first.
func before(a, b *Binding) bool {
	rank := func(s segment) int {
		switch {
		case s.rest:
			return 2
		case s.literal == "":
			return 1
		}
		return 0
	}
	for i := range min(len(a.pattern.segments), len(b.pattern.segments)) {
		if x, y := rank(a.pattern.segments[i]), rank(b.pattern.segments[i]); x != y {
			return x < y
		}
	}
	if (a.pattern.verb != "") != (b.pattern.verb != "") {
		return a.pattern.verb != ""
	}
	return a.Verb != "*"
}
