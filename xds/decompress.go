package xds

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	brotliv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/decompressor/v3"
	gzipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/decompressor/v3"
	zstdv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/decompressor/v3"
	decompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/decompressor/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// maxInflateRatio is what gzip can reach, and no more. Past the ratio Envoy ends the
// body as if it were whole; how long it may get is for the limit behind it to say,
// which refuses the request.
const maxInflateRatio = 1032

// requestDecompressors unpack the bodies of requests in the codings of which Envoy
// ends none in the midst because it has grown a hundredfold, as it does with brotli.
// What else says that it is packed is refused before.
func requestDecompressors() []*corev3.TypedExtensionConfig {
	return []*corev3.TypedExtensionConfig{
		packedBodies(),
		extension("decompressor.gzip", decompressor(gzipLibrary(), true)),
		extension("decompressor.zstd", decompressor(zstdLibrary(), true)),
	}
}

// responseDecompressors unpack what backends answer, which are believed.
func responseDecompressors() []*corev3.TypedExtensionConfig {
	return []*corev3.TypedExtensionConfig{
		extension("decompressor.response.gzip", decompressor(gzipLibrary(), false)),
		extension("decompressor.response.br", decompressor(brotliLibrary(), false)),
		extension("decompressor.response.zstd", decompressor(zstdLibrary(), false)),
	}
}

// decompressor unpacks requests or answers, and leaves what the client accepts as
// it is.
func decompressor(library *corev3.TypedExtensionConfig, ofRequests bool) *decompressorv3.Decompressor {
	return &decompressorv3.Decompressor{
		DecompressorLibrary: library,
		RequestDirectionConfig: &decompressorv3.Decompressor_RequestDirectionConfig{
			CommonConfig:            decompresses(ofRequests),
			AdvertiseAcceptEncoding: wrapperspb.Bool(false),
		},
		ResponseDirectionConfig: &decompressorv3.Decompressor_ResponseDirectionConfig{CommonConfig: decompresses(!ofRequests)},
	}
}

func decompresses(enabled bool) *decompressorv3.Decompressor_CommonDirectionConfig {
	return &decompressorv3.Decompressor_CommonDirectionConfig{
		Enabled: &corev3.RuntimeFeatureFlag{DefaultValue: wrapperspb.Bool(enabled), RuntimeKey: "gatewright.never_set"},
	}
}

func gzipLibrary() *corev3.TypedExtensionConfig {
	return extension("gzip", &gzipv3.Gzip{WindowBits: wrapperspb.UInt32(15), MaxInflateRatio: wrapperspb.UInt32(maxInflateRatio)})
}

func zstdLibrary() *corev3.TypedExtensionConfig { return extension("zstd", &zstdv3.Zstd{}) }

func brotliLibrary() *corev3.TypedExtensionConfig { return extension("br", &brotliv3.Brotli{}) }

// packedOtherwise is the policy by which bodies are refused in codings that are not
// unpacked here: the backend would take the packed bytes for the body, and the limit
// would not have seen what they become.
const packedOtherwise = "packed-otherwise"

// packedOtherwiseDetails is what Envoy says of a request that it refuses by it.
const packedOtherwiseDetails = "rbac_access_denied_matched_policy[" + packedOtherwise + "]"

func packedBodies() *corev3.TypedExtensionConfig {
	const encoding = "content-encoding"
	otherwise := header(encoding, fits("(?i)gzip|zstd|identity"))
	otherwise.InvertMatch = true
	return extension("packed_bodies", &rbacv3.RBAC{Rules: &rbacconfigv3.RBAC{
		Action: rbacconfigv3.RBAC_DENY,
		Policies: map[string]*rbacconfigv3.Policy{packedOtherwise: {
			Permissions: []*rbacconfigv3.Permission{{Rule: &rbacconfigv3.Permission_AndRules{AndRules: &rbacconfigv3.Permission_Set{
				Rules: []*rbacconfigv3.Permission{byHeader(present(encoding)), byHeader(otherwise)},
			}}}},
			Principals: []*rbacconfigv3.Principal{{Identifier: &rbacconfigv3.Principal_Any{Any: true}}},
		}},
	}})
}

func byHeader(m *routev3.HeaderMatcher) *rbacconfigv3.Permission {
	return &rbacconfigv3.Permission{Rule: &rbacconfigv3.Permission_Header{Header: m}}
}

func (b builder) unpacksRequests() bool {
	return slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool { return r.Decompresses(config.OfRequest) })
}
