package config

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
