package config

import (
	"slices"

	"github.com/gatewright/gatewright/internal/transcoding"
)

// maxTranscoded bounds the bounds of a transcoded message: Envoy holds all of it.
const maxTranscoded = 64 << 20

// grpcTranscode holds a route to a descriptor set by which some request that it
// takes is a call, and to backends that take it.
func (c *checker) grpcTranscode(at *place, r *Route) {
	t := r.GRPCTranscode
	c.must(r.Match.GRPC == nil, at, "must not stand beside match.grpc, which takes no request of REST")
	c.must(r.Rewrite == nil || r.Rewrite.Path == "", at, "must not stand beside rewrite.path: the backend sees the path of the call, /SERVICE/METHOD")
	c.words(at.key("services"), t.Services)
	c.words(at.key("ignoreQuery"), t.IgnoreQuery)
	oneOf(c, at.key("unknownQuery"), t.UnknownQuery, UnknownQueryRefuse, UnknownQueryIgnore)
	oneOf(c, at.key("streams"), t.Streams, StreamArray, StreamLines, StreamSSE)
	c.between(at.key("maxRequest"), 0, int64(t.MaxRequest), maxTranscoded)
	c.between(at.key("maxResponse"), 0, int64(t.MaxResponse), maxTranscoded)
	if t.Descriptor == "" || len(t.Services) == 0 {
		return // decoding has said so
	}
	if t.Set = c.descriptorSet(at, t); t.Set != nil && c.report.trusted(at.key("services")) {
		c.obey(at, unboundRule(t.Set, &r.Match))
	}
}

// setKey names what is read of a descriptor set.
type setKey struct{ path, options string }

// descriptorSet reads the descriptor set of a route; nil where it has told why
// not. Routes that ask the same of the same file share what is read.
func (c *checker) descriptorSet(at *place, t *GRPCTranscode) *transcoding.Set {
	o := transcoding.Options{Services: t.Services, AllTypes: t.ErrorDetails, Unbound: t.Unbound}
	key := setKey{t.Descriptor, shownOptions(o)}
	if set := c.sets[key]; set != nil {
		return set
	}
	var set *transcoding.Set
	var problems []*transcoding.Problem
	data, err := c.content(t.Descriptor, transcoding.MaxFile, func(data []byte) error {
		var found []*transcoding.Problem
		if set, found = transcoding.Read(data, o); len(found) > 0 {
			if problems == nil {
				problems = found // those of what is in the file now
			}
			return found[0]
		}
		return nil
	})
	switch {
	case err == nil && data != nil:
		c.sets[key] = set
		return set
	case len(problems) == 0:
		c.obey(at.key("descriptor"), err.Error())
	}
	for _, p := range problems {
		if p.Service < 0 {
			c.obey(at.key("descriptor"), p.Rule)
			continue
		}
		name, rule := t.Services[p.Service], p.Rule
		if known := transcoding.Services(c.contents[t.Descriptor].data); !slices.Contains(known, name) {
			rule += c.report.suggestion("; ", name, known)
		}
		c.must(name == "", at.key("services").index(p.Service), rule)
	}
	return nil
}

func shownOptions(o transcoding.Options) string {
	text := ""
	for _, flag := range []bool{o.AllTypes, o.Unbound} {
		if flag {
			text += "y"
		} else {
			text += "n"
		}
	}
	for _, name := range o.Services {
		text += " " + name
	}
	return text
}

// unboundRule is what a route breaks of whose requests none could ever be a call.
func unboundRule(set *transcoding.Set, m *Match) string {
	pattern, err := ParsePath(m.Path)
	if err != nil {
		return "" // there is a fault already
	}
	path := transcodedPath(pattern)
	fits := func(b transcoding.Binding) bool { return b.Fits(path, m.Methods) }
	if slices.ContainsFunc(set.Bindings, fits) {
		return ""
	}
	rule := "no request that the route takes is bound to a method of these services"
	const shownBindings = 5
	for i, b := range set.Bindings {
		switch {
		case i == 0:
			rule += "; they bind "
		case i < shownBindings:
			rule += ", "
		default:
			return rule + " and more"
		}
		rule += b.Verb + " " + b.Template
	}
	return rule
}

// transcodedPath is a pattern as transcoding has it.
func transcodedPath(p PathPattern) transcoding.Path {
	out := transcoding.Path{Rest: p.Rest}
	for _, s := range p.Segments {
		out.Segments = append(out.Segments, transcoding.Segment{Any: s.Variable != "", Literal: s.Literal})
	}
	return out
}
