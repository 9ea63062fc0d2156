package config

import "time"

const (
	// maxHeaderBytes is what of headers Check can be told, its own message's bound
	// far from reached, and a log line be made of.
	maxHeaderBytes = 256 << 10
	maxHeaderLines = 1000
	// maxBodyBound is the most that one Content-Length can be believed for.
	maxBodyBound = 1 << 40
	// maxStreamsBound is above what any client opens on one connection.
	maxStreamsBound = 10_000
	// maxConnectionsBound is what one Envoy has descriptors for, at best.
	maxConnectionsBound = 1_000_000
	// minConnectionDuration keeps connections from being closed faster than they
	// are worth opening.
	minConnectionDuration = time.Second
)

// bounds judges what a listener takes of its clients.
func (c *checker) bounds(at *place, b *Bounds) {
	c.between(at.key("maxHeaderBytes"), 0, int64(b.MaxHeaderBytes), maxHeaderBytes)
	c.must(b.MaxHeaderBytes%1024 == 0, at.key("maxHeaderBytes"), "must be a multiple of 1024: Envoy counts in KiB")
	c.between(at.key("maxHeaders"), 0, int64(b.MaxHeaders), maxHeaderLines)
	c.between(at.key("maxBodyBytes"), 0, int64(b.MaxBodyBytes), maxBodyBound)
	c.between(at.key("maxStreams"), 0, int64(b.MaxStreams), maxStreamsBound)
	c.between(at.key("maxConnections"), 0, int64(b.MaxConnections), maxConnectionsBound)
	c.between(at.key("maxRequestsPerConnection"), 0, int64(b.MaxRequestsPerConnection), 1<<31-1)
	c.atMost(at.key("headersTimeout"), b.HeadersTimeout, time.Hour)
	c.atMost(at.key("requestTimeout"), b.RequestTimeout, maxDuration)
	c.atMost(at.key("idleTimeout"), b.IdleTimeout, maxDuration)
	c.atMost(at.key("streamIdleTimeout"), b.StreamIdleTimeout, maxDuration)
	c.atMost(at.key("maxConnectionDuration"), b.MaxConnectionDuration, maxDuration)
	c.must(b.MaxConnectionDuration == 0 || time.Duration(b.MaxConnectionDuration) >= minConnectionDuration,
		at.key("maxConnectionDuration"), "must be at least "+Duration(minConnectionDuration).String())
	headers := b.HeadersTimeout.Or(DefaultHeadersTimeout)
	c.must(b.RequestTimeout == 0 || time.Duration(b.RequestTimeout) >= headers, at.key("requestTimeout"),
		"must be at least the headersTimeout, "+Duration(headers).String()+": the headers are part of the request")
}
