// Package config is the language in which a gateway is described: its model,
// the strict loader that reads it, the validation that reports every fault at
// once with its place, and the file it is watched in.
//
// The package knows no Envoy, no Redis and no gRPC. Every other package takes
// the types of this one as valid: after Load has returned without faults,
// nobody checks again.
//
// Struct tags drive the decoder (decode.go) and the JSON Schema (schema.go):
//
//	yaml:"name"      the field's name in the language
//	required:"true"  a missing field is a fault, and so is an empty list
//	hint:"what"      what to say to whom leaves a required field out
//	later:"what"     known, but what it asks for is not built yet: its
//	                 presence is a fault ("not yet supported"), never ignored
//	secret:"true"    its value is shown in no fault
//	text:"true"      it may hold line breaks and tabs; other strings may not
//	null:"true"      a null is as if the field were not there
package config

import "time"

// Config is one whole gateway: what it listens on, whom it asks for identity,
// what it forwards to, and the routes between them. The zero value is not
// valid; Load is the way to a valid one.
type Config struct {
	// Listeners are the addresses clients connect to. At least one.
	Listeners []*Listener `yaml:"listeners" required:"true"`
	// TrustedHops is how many proxies in front of the gateway append to
	// X-Forwarded-For and are believed: the client is whom the farthest of them
	// has appended. 0 believes only the connection. With more, nobody but those
	// proxies may be able to connect.
	TrustedHops int `yaml:"trustedHops"`
	// TrustedProxies are the networks of the proxies in front of the gateway, in the
	// place of their number: what X-Forwarded-For says is believed where one of them
	// has connected, and the client is the last one in it who is none of them. Each
	// is an address, or a prefix as 10.0.0.0/8.
	TrustedProxies []string `yaml:"trustedProxies"`
	// Backends are the services behind the gateway, by name.
	Backends map[string]*Backend `yaml:"backends"`
	// Auth holds the identity providers that routes may require.
	Auth Providers `yaml:"auth"`
	// Limits are the rate limits that routes may apply, by name.
	Limits map[string]*Limit `yaml:"limits"`
	// OpenAPI are the documents that routes may hold their requests to, by name.
	OpenAPI map[string]*OpenAPI `yaml:"openapi"`
	// RateLimitHeaders are the headers by which answers tell of limits. The empty
	// string means ietf.
	RateLimitHeaders RateLimitHeaders `yaml:"rateLimitHeaders"`
	// Strangers are the requests that no route takes. Nil asks nothing of them.
	Strangers *Strangers `yaml:"strangers"`
	// Errors are bodies of errors, in place of problem documents or of what backends
	// say: the first that fits an answer. Empty changes none.
	Errors []*ErrorBody `yaml:"errors"`
	// AccessLog is where each request is logged, beside standard output, and which are.
	// Nil is all of them, on standard output alone.
	AccessLog *AccessLog `yaml:"accessLog"`
	// Metrics is what is measured of requests. Nil is all.
	Metrics *Metrics `yaml:"metrics"`
	// Tracing records requests as spans, which are sent to a collector. Nil records
	// none.
	Tracing *Tracing `yaml:"tracing"`
	// Experiments are features that may change, or go again. None is on by default.
	Experiments Experiments `yaml:"experiments"`
	// Routes say which request goes where, and what it must show first. The
	// most specific match wins, wherever it stands in the list.
	Routes []*Route `yaml:"routes" required:"true"`

	// Contents are the files whose content is a part of the config, as it is served.
	Contents []Content `yaml:"-"`
}

// RateLimitHeaders is a family of headers that tell of limits. Retry-After is told
// beside each.
type RateLimitHeaders string

// The families: RateLimit-Limit, -Remaining and -Reset
// (draft-ietf-httpapi-ratelimit-headers-06), X-RateLimit-… with the same
// numbers, both, or nothing but Retry-After.
const (
	HeadersIETF RateLimitHeaders = "ietf"
	HeadersX    RateLimitHeaders = "x"
	HeadersBoth RateLimitHeaders = "both"
	HeadersNone RateLimitHeaders = "none"
)

// Strangers is what is asked of requests that no route takes, and of those that
// none may: for hosts and paths that nobody has named, by TRACE, and the like.
// They are answered without a backend.
type Strangers struct {
	// Limits are the names of the limits that are charged before such a request
	// gets its answer; one that is used up makes the answer a 429. They count by
	// what a stranger has: clientIP, headers and route, which is
	// gatewright.not-found or gatewright.refused.
	Limits []string `yaml:"limits" required:"true"`
}

// Duration is a time.Duration written as 500ms, 10s, 5m or 1h30m.
type Duration time.Duration

// Or returns d, or otherwise where d is 0.
func (d Duration) Or(otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return time.Duration(d)
}

// Rate is a number of events in a time: 10/s is {10, time.Second}.
type Rate struct {
	Events int64
	Per    time.Duration
}
