package config

import "github.com/gatewright/gatewright/internal/jsontemplate"

// Direction is a way that a body goes.
type Direction string

// The directions.
const (
	OfRequest  Direction = "request"
	OfResponse Direction = "response"
)

// Compress is how the answers of a route are compressed. An answer that is
// compressed already, a part of a file (206), and one that says no-transform stay
// as they are.
type Compress struct {
	// Off compresses nothing, as if there were no Compress. compress: false says so,
	// too.
	Off bool `yaml:"off"`
	// Algorithms are those that a client may choose by Accept-Encoding: zstd, br and
	// gzip. Of those that it likes best the first in this list is taken, or else the
	// one that it names first. Empty is zstd, br, gzip.
	Algorithms []CompressionAlgorithm `yaml:"algorithms"`
	// ContentTypes are the media types that are compressed, whatever their
	// parameters. Empty is text and data: text/html, text/css, text/plain, text/xml,
	// text/javascript, text/csv, application/javascript, application/json,
	// application/problem+json, application/ld+json, application/xml,
	// application/xhtml+xml, application/wasm and image/svg+xml.
	ContentTypes []string `yaml:"contentTypes"`
	// MinBytes is the shortest answer that is compressed, where it says its length.
	// 0 means 256.
	MinBytes int `yaml:"minBytes"`
	// Level is how much work is spent. The empty string means balanced.
	Level CompressionLevel `yaml:"level"`
}

// CompressionAlgorithm is a content coding (RFC 9110, section 8.4.1).
type CompressionAlgorithm string

// The algorithms.
const (
	Zstd   CompressionAlgorithm = "zstd"
	Brotli CompressionAlgorithm = "br"
	Gzip   CompressionAlgorithm = "gzip"
)

// CompressionLevel is how much work is spent on a smaller answer.
type CompressionLevel string

// The levels.
const (
	Fast     CompressionLevel = "fast"
	Balanced CompressionLevel = "balanced"
	Small    CompressionLevel = "small"
)

// Body rewrites bodies of JSON by templates, on their way to the backend, from it, or
// both. A body that cannot be rewritten does not go on: a request gets 400, or 413, or
// 415, and an answer becomes a 502.
type Body struct {
	// Request is what becomes of a request's body. Nil leaves it as it is.
	Request *RequestBody `yaml:"request"`
	// Response is what becomes of an answer's. Nil leaves it as it is.
	Response *ResponseBody `yaml:"response"`
	// OnFailure is what becomes of bodies that could not be rewritten since the
	// gateway's own process is away or too slow. The empty string means deny.
	OnFailure BodyFailure `yaml:"onFailure"`
}

// RequestBody is what becomes of the body of a request. A request without one stays
// without.
type RequestBody struct {
	// Template is a document of JSON in whose texts ${…} are expressions of CEL, or one
	// ${…} alone: see docs/transform.md. At most 8192 bytes.
	Template string `yaml:"template" required:"true" text:"true"`
	// MaxBytes is how long a body may be, before and after. 0 means 64 KiB. It is at
	// most 1 MiB.
	MaxBytes int `yaml:"maxBytes"`

	// Reads is what Template reads beside the body.
	Reads jsontemplate.Reads `yaml:"-"`
}

// ResponseBody is what becomes of the body of an answer.
type ResponseBody struct {
	// Template is as that of RequestBody, and knows the answer's status and headers.
	Template string `yaml:"template" required:"true" text:"true"`
	// Status are the statuses of the answers that are rewritten: a status, 2xx, 4xx or
	// 5xx. Others pass as they are.
	Status []BodyStatus `yaml:"status" required:"true" hint:"say which answers are rewritten, as \"status: [2xx]\"; others pass as they are"`
	// MaxBytes is as that of RequestBody.
	MaxBytes int `yaml:"maxBytes"`

	// Reads is what Template reads beside the body.
	Reads jsontemplate.Reads `yaml:"-"`
}

// DefaultTemplateBytes is MaxBytes where there is none.
const DefaultTemplateBytes = 64 << 10

// BodyFailure is what becomes of a body while it cannot be rewritten.
type BodyFailure string

// The failures. The empty string means deny.
const (
	// BodyDeny answers with 503.
	BodyDeny BodyFailure = "deny"
	// BodyPass lets the body pass as it is.
	BodyPass BodyFailure = "pass"
)
