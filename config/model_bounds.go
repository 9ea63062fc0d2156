package config

import (
	"cmp"
	"time"
)

// Bounds are what one listener takes of its clients. Whatever is left out has its
// default; a listener without any is bounded by all of the defaults.
type Bounds struct {
	// MaxHeaderBytes is the size of a request's headers, its line included: whole
	// KiB, up to 256 KiB. 0 means 60 KiB. More is a 431, or over HTTP/2 and HTTP/3 a
	// reset.
	MaxHeaderBytes int `yaml:"maxHeaderBytes"`
	// MaxHeaders is the number of header lines. 0 means 100. More is answered as
	// more bytes are.
	MaxHeaders int `yaml:"maxHeaders"`
	// MaxBodyBytes is the size of a request's body, without its chunks' framing. 0
	// is any: of a body that is passed on, at most some 100 KiB are held at once.
	// More is a 413.
	MaxBodyBytes int `yaml:"maxBodyBytes"`
	// HeadersTimeout is from the first byte of a request to the last of its headers.
	// 0 means 10s. Longer is a 408.
	HeadersTimeout Duration `yaml:"headersTimeout"`
	// RequestTimeout is from the first byte of a request to the last of its body,
	// unless the answer has begun before. 0 is any time: see StreamIdleTimeout.
	// Longer is a 408.
	RequestTimeout Duration `yaml:"requestTimeout"`
	// IdleTimeout is how long a connection is kept on which there is no request. 0
	// means 1h.
	IdleTimeout Duration `yaml:"idleTimeout"`
	// StreamIdleTimeout is how long a request may stand still: no byte of it or of
	// its answer moves. Route.IdleTimeout goes before it. 0 means 5m. Longer is a 408
	// where the request is not whole, else a 504, and the end where the answer has
	// begun.
	StreamIdleTimeout Duration `yaml:"streamIdleTimeout"`
	// MaxStreams is the number of requests at once on one connection of HTTP/2 or
	// HTTP/3. 0 means 100. Clients are told, and a stream beyond it is refused.
	MaxStreams int `yaml:"maxStreams"`
	// MaxConnections is the number of connections to this listener, of each Envoy. 0
	// is as many as all listeners of an Envoy have together. One more is closed.
	MaxConnections int `yaml:"maxConnections"`
	// MaxRequestsPerConnection is after how many requests a connection is closed: by
	// "Connection: close" or GOAWAY, so that no request is lost. 0 is never.
	MaxRequestsPerConnection int `yaml:"maxRequestsPerConnection"`
	// MaxConnectionDuration is after which time a connection is closed in the same
	// way. Requests that are under way then go on. 0 is never.
	MaxConnectionDuration Duration `yaml:"maxConnectionDuration"`
}

// The bounds of a listener that says none of its own, after Envoy's edge best
// practices (https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge).
const (
	DefaultMaxHeaderBytes    = 60 << 10
	DefaultMaxHeaders        = 100
	DefaultHeadersTimeout    = 10 * time.Second
	DefaultIdleTimeout       = time.Hour
	DefaultStreamIdleTimeout = 5 * time.Minute
	DefaultMaxStreams        = 100
)

// Bound are the listener's bounds, with the defaults where it says nothing.
func (l *Listener) Bound() Bounds {
	var b Bounds
	if l.Bounds != nil {
		b = *l.Bounds
	}
	b.MaxHeaderBytes = cmp.Or(b.MaxHeaderBytes, DefaultMaxHeaderBytes)
	b.MaxHeaders = cmp.Or(b.MaxHeaders, DefaultMaxHeaders)
	b.HeadersTimeout = cmp.Or(b.HeadersTimeout, Duration(DefaultHeadersTimeout))
	b.IdleTimeout = cmp.Or(b.IdleTimeout, Duration(DefaultIdleTimeout))
	b.StreamIdleTimeout = cmp.Or(b.StreamIdleTimeout, Duration(DefaultStreamIdleTimeout))
	b.MaxStreams = cmp.Or(b.MaxStreams, DefaultMaxStreams)
	return b
}
