package xds

import (
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// pathHeader is the request's path as trees look for it: normalized, without its
// query, and with a slash behind it. In :path itself an exact path is found under
// two keys, /a and /a?, and /a/** under three; here the one is found under the
// whole value /a/ and the other under the beginning /a/, and nothing is left to
// ask. It is overwritten on every request before anything reads it, and taken
// away before a backend sees it.
const pathHeader = "x-gatewright-path"

// setTreePath sets pathHeader, before a route is looked for. PATH is the path
// that the request came with, normalized: a client's x-envoy-original-path is
// not asked.
func setTreePath() *mutationv3.HeaderMutation { return setEarly(pathHeader, "%PATH(NQ:PATH)%/") }

// setEarly sets a header, whatever a client has sent by its name.
func setEarly(name, value string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{
		Append: &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: name, Value: value},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		},
	}}
}
