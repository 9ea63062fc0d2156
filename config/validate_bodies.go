package config

import (
	"slices"
	"strings"
)

// maxBodyBytes is the highest bound of a route's bodies, 1 TiB: a slip of the
// hand rather than a wish above it.
const maxBodyBytes = 1 << 40

// bodies holds what a route does to bodies to what can be done.
func (c *checker) bodies(at *place, r *Route) {
	c.between(at.key("maxBodyBytes"), 0, r.MaxBodyBytes, maxBodyBytes)
	if r.Compress != nil {
		c.compress(at.key("compress"), r)
	}
	c.decompress(at, r)
}

func (c *checker) compress(at *place, r *Route) {
	p := r.Compress
	c.must(r.Match.GRPC == nil, at, "must not stand on a route for gRPC: its messages are compressed by their sender")
	c.distinct(at.key("algorithms"), len(p.Algorithms), func(i int) string { return string(p.Algorithms[i]) })
	for i, a := range p.Algorithms {
		oneOf(c, at.key("algorithms").index(i), a, compressionAlgorithms...)
	}
	c.words(at.key("contentTypes"), p.ContentTypes)
	for i, t := range p.ContentTypes {
		c.obey(at.key("contentTypes").index(i), compressedTypeRule(t))
	}
	c.between(at.key("minBytes"), 0, int64(p.MinBytes), 1<<30)
	oneOf(c, at.key("level"), p.Level, Fast, Balanced, Small)
}

// distinct holds a list to words that are not empty and not repeated.
func (c *checker) distinct(at *place, n int, word func(i int) string) {
	all := make([]string, n)
	for i := range all {
		all[i] = word(i)
	}
	c.words(at, all)
}

// compressedTypeRule judges a media type whose answers are compressed. The events
// of a stream are for now, and a compressor gathers before it gives.
func compressedTypeRule(t string) string {
	kind, sub, ok := strings.Cut(t, "/")
	switch {
	case t == "": // has its fault
		return ""
	case !ok || !isToken(kind) || !isToken(sub) || strings.Contains(t, "*"):
		return "must be a media type without parameters, as application/json"
	case t != strings.ToLower(t):
		return "must be in lower case"
	case t == "text/event-stream":
		return "must not be a stream of events: they would wait in the compressor"
	case strings.HasPrefix(t, "application/grpc"):
		return "must not be gRPC: its messages are compressed by their sender"
	}
	return ""
}

// decompress holds decompression to a bound: what is small on the wire may be
// large behind it.
func (c *checker) decompress(at *place, r *Route) {
	in := at.key("decompress")
	c.distinct(in, len(r.Decompress), func(i int) string { return string(r.Decompress[i]) })
	for i, d := range r.Decompress {
		oneOf(c, in.index(i), d, OfRequest, OfResponse)
	}
	c.must(r.MaxBodyBytes > 0 || !slices.Contains(r.Decompress, OfRequest), in,
		"needs maxBodyBytes: a few bytes may become gigabytes")
	c.must(r.Match.GRPC == nil || len(r.Decompress) == 0, in, "must not stand on a route for gRPC: its messages are compressed one by one")
}
