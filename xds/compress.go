package xds

import (
	"cmp"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	brotliv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/compressor/v3"
	gzipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	zstdv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/compressor/v3"
	compressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// compressors are the filters that compress a route's answers, one for each
// algorithm.
func compressors(r *config.Route) []*corev3.TypedExtensionConfig {
	if !r.Compresses() {
		return nil
	}
	var out []*corev3.TypedExtensionConfig
	for i, algorithm := range r.Compress.Choices() {
		c := compressor(r.Compress, algorithm)
		// Of those that a client likes best Envoy takes this one, and else the one
		// that the client names first.
		c.ChooseFirst = i == 0
		out = append(out, extension("compressor."+string(algorithm), c))
	}
	return out
}

func compressor(c *config.Compress, algorithm config.CompressionAlgorithm) *compressorv3.Compressor {
	return &compressorv3.Compressor{
		CompressorLibrary: extension(string(algorithm), compressorLibrary(algorithm, c.Level)),
		ResponseDirectionConfig: &compressorv3.Compressor_ResponseDirectionConfig{
			CommonConfig: &compressorv3.Compressor_CommonDirectionConfig{
				MinContentLength:   wrapperspb.UInt32(uint32(cmp.Or(c.MinBytes, config.DefaultMinBytes))),
				ContentTypeMatcher: mediaTypes(c.Types()),
			},
			// A part of a file is a part of its bytes, and not of those that they
			// become.
			UncompressibleResponseCodes: []uint32{206},
			// The answer is another one byte by byte, and the same in what it means
			// (RFC 9110, section 8.8.1).
			WeakenEtagOnCompress: true,
		},
	}
}

func mediaTypes(types []string) []*typematcherv3.StringMatcher {
	var out []*typematcherv3.StringMatcher
	for _, t := range types {
		out = append(out, &typematcherv3.StringMatcher{MatchPattern: &typematcherv3.StringMatcher_Exact{Exact: t}, IgnoreCase: true})
	}
	return out
}

// The levels of each library. Balanced is what each of them calls its default, but
// for brotli, whose own is for files that are compressed once.
var (
	gzipLevels = map[config.CompressionLevel]gzipv3.Gzip_CompressionLevel{
		config.Fast: gzipv3.Gzip_COMPRESSION_LEVEL_1, config.Balanced: gzipv3.Gzip_COMPRESSION_LEVEL_6, config.Small: gzipv3.Gzip_COMPRESSION_LEVEL_9,
	}
	brotliLevels = map[config.CompressionLevel]uint32{config.Fast: 1, config.Balanced: 4, config.Small: 9}
	zstdLevels   = map[config.CompressionLevel]uint32{config.Fast: 1, config.Balanced: 3, config.Small: 12}
)

func compressorLibrary(algorithm config.CompressionAlgorithm, level config.CompressionLevel) proto.Message {
	level = cmp.Or(level, config.Balanced)
	switch algorithm {
	case config.Zstd:
		return &zstdv3.Zstd{CompressionLevel: wrapperspb.UInt32(zstdLevels[level])}
	case config.Brotli:
		return &brotliv3.Brotli{Quality: wrapperspb.UInt32(brotliLevels[level])}
	default:
		return &gzipv3.Gzip{CompressionLevel: gzipLevels[level]}
	}
}
