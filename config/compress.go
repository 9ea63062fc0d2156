package config

import "slices"

// DefaultMinBytes is what is compressed where Compress.MinBytes is 0: what is
// shorter fits one packet either way.
const DefaultMinBytes = 256

// compressionAlgorithms are those that there are, the best first.
var compressionAlgorithms = []CompressionAlgorithm{Zstd, Brotli, Gzip}

// compressibleTypes are what is compressed where a route says no types.
var compressibleTypes = []string{
	"text/html", "text/css", "text/plain", "text/xml", "text/javascript", "text/csv",
	"application/javascript", "application/json", "application/problem+json", "application/ld+json",
	"application/xml", "application/xhtml+xml", "application/wasm", "image/svg+xml",
}

// Compresses tells whether the route compresses answers.
func (r *Route) Compresses() bool { return r.Compress != nil && !r.Compress.Off }

// Decompresses tells whether the route decompresses bodies of a direction.
func (r *Route) Decompresses(d Direction) bool { return slices.Contains(r.Decompress, d) }

// Choices are the algorithms that a client may choose from, the first one first.
func (c *Compress) Choices() []CompressionAlgorithm {
	if len(c.Algorithms) == 0 {
		return slices.Clone(compressionAlgorithms)
	}
	return slices.Clone(c.Algorithms)
}

// Types are the media types that are compressed.
func (c *Compress) Types() []string {
	if len(c.ContentTypes) == 0 {
		return slices.Clone(compressibleTypes)
	}
	return slices.Clone(c.ContentTypes)
}
