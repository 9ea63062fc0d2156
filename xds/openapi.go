package xds

import (
	"slices"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/gatewright/gatewright/config"
)

// validationReplies is the answer to a body that is larger than what a route
// validates: Envoy gives it without a Check.
func (b builder) validationReplies() []*hcmv3.ResponseMapper {
	if !slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool { return r.OpenAPI != nil }) {
		return nil
	}
	return []*hcmv3.ResponseMapper{replyFor(detailed("request_payload_too_large"), problem{title: "Content Too Large", reason: "body-too-large",
		detail: "the body is larger than this route takes"})}
}
