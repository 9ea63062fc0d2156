package xds

import (
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// trailersFilter is the name of the filter that cleans the trailers of requests. (The
// kind of filter is one that others use, too.)
const trailersFilter = "gatewright.trailers"

// misplaced are what no trailer may say (RFC 9110, section 6.5.1): how a message is
// framed, where it goes, and who sends it. The judge has not seen it.
var misplaced = []string{"authorization", "content-encoding", "content-length", "content-type", "cookie", "host", "transfer-encoding"}

// trailers take out of the trailers of requests what clients may not set in headers,
// and what is no trailer: some backends make headers of them. The filter is there
// where some backend takes trailers; until a listener has it with the first of those,
// some milliseconds, theirs pass as they are.
func (b builder) trailers(p peerKind) []*hcmv3.HttpFilter {
	if !b.takesTrailers() {
		return nil
	}
	m := b.takeAway(p)
	for _, name := range misplaced {
		m = append(m, without(name))
	}
	return []*hcmv3.HttpFilter{httpFilter(trailersFilter, &headermutationv3.HeaderMutation{
		Mutations: &headermutationv3.Mutations{RequestTrailersMutations: m},
	})}
}

// takesTrailers tells whether some backend is sent those of clients.
func (b builder) takesTrailers() bool {
	for _, backend := range b.config.Backends {
		if backend.Trailers || backend.SpeaksHTTP2() {
			return true
		}
	}
	return false
}
