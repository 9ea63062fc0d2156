package config

import (
	"net/netip"
	"time"
)

// The bounds of single connections.
const (
	maxPreconnect      = 3
	minBufferBytes     = 1 << 10
	maxBufferBytes     = 64 << 20
	minHTTP2Window     = 65535
	maxHTTP2Window     = 1<<31 - 1
	maxHTTP2Streams    = 1<<31 - 1
	maxKeepaliveTime   = 24 * time.Hour
	maxKeepaliveProbes = 100
	maxConnectTime     = time.Minute
)

// eachConnection judges what is said of each connection, and not of all together.
func (c *checker) eachConnection(at *place, n *Connections, b *Backend) {
	c.atMost(at.key("connectTimeout"), n.ConnectTimeout, maxConnectTime)
	c.atMost(at.key("idleTimeout"), n.IdleTimeout, maxDuration)
	c.atMost(at.key("maxLifetime"), n.MaxLifetime, maxDuration)
	c.between(at.key("maxRequestsPerConnection"), 0, int64(n.MaxRequestsPerConnection), maxConnections)
	c.must(n.Preconnect == 0 || n.Preconnect >= 1 && n.Preconnect <= maxPreconnect, at.key("preconnect"), "must be 1 to 3")
	c.must(n.BufferBytes == 0 || n.BufferBytes >= minBufferBytes, at.key("bufferBytes"), "must be at least 1024")
	c.between(at.key("bufferBytes"), 0, int64(n.BufferBytes), maxBufferBytes)
	if n.SourceAddress != "" {
		address, err := netip.ParseAddr(n.SourceAddress)
		c.must(err == nil && address.Zone() == "" && !address.IsMulticast(), at.key("sourceAddress"), "must be an IP address")
	}
	if k := n.TCPKeepalive; k != nil {
		at := at.key("tcpKeepalive")
		c.wholeSeconds(at.key("time"), k.Time, maxKeepaliveTime)
		c.wholeSeconds(at.key("interval"), k.Interval, maxKeepaliveTime)
		c.between(at.key("probes"), 0, int64(k.Probes), maxKeepaliveProbes)
	}
	if n.HTTP2 != nil {
		c.backendHTTP2(at.key("http2"), n.HTTP2, b)
	}
}

func (c *checker) backendHTTP2(at *place, h *BackendHTTP2, b *Backend) {
	c.must(b.SpeaksHTTP2(), at, "is for backends of the protocol http2 or grpc")
	c.between(at.key("maxConcurrentStreams"), 0, int64(h.MaxConcurrentStreams), maxHTTP2Streams)
	for name, window := range map[string]int{"streamWindow": h.StreamWindow, "connectionWindow": h.ConnectionWindow} {
		c.must(window == 0 || window >= minHTTP2Window, at.key(name), "must be at least 65535")
		c.between(at.key(name), 0, int64(window), maxHTTP2Window)
	}
	c.atMost(at.key("pingInterval"), h.PingInterval, maxDuration)
	c.atMost(at.key("pingTimeout"), h.PingTimeout, maxDuration)
	c.must(h.PingTimeout == 0 || h.PingInterval != 0, at.key("pingTimeout"), "needs a pingInterval")
}
