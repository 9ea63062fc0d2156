package xds

import (
	"strconv"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// worldAcks are the acknowledgements of state-of-the-world xDS, whose responses
// name one version for all that they hold: that of the cache.
type worldAcks struct {
	types map[resource.Type]*worldType
}

// worldType is what is known of a type.
type worldType struct {
	// names are those that are asked for; nil is all there are.
	names map[string]bool
	// sent is the version of the newest response, and nonce its number.
	sent  uint64
	nonce string
	// acked is the newest version that was taken by an Envoy that asked for
	// these names.
	acked uint64
}

func newWorldAcks() *worldAcks { return &worldAcks{types: map[resource.Type]*worldType{}} }

// begin has nothing to forget: versions only grow.
func (a *worldAcks) begin() {}

func (a *worldAcks) of(t resource.Type) *worldType {
	if a.types[t] == nil {
		a.types[t] = &worldType{}
	}
	return a.types[t]
}

func (a *worldAcks) has(t resource.Type, of wantedOf) bool {
	w := a.of(t)
	if w.acked < of.cacheVersion {
		return false
	}
	for name := range of.versions {
		if w.names != nil && !w.names[name] {
			return false // it has not yet asked for it
		}
	}
	return true
}

func (t *tracker) worldResponded(id int64, m *discoveryv3.DiscoveryResponse) {
	t.with(streamID{world: true, id: id}, func(s *stream) {
		w := s.acks.(*worldAcks).of(m.GetTypeUrl())
		w.nonce, w.sent = m.GetNonce(), cacheVersion(m.GetVersionInfo())
	})
}

// worldAnswered notes what an Envoy says to a response. A request that asks for
// names that it did not ask for before acknowledges nothing of them: their
// response is still to come.
func (t *tracker) worldAnswered(id int64, m *discoveryv3.DiscoveryRequest) {
	t.with(streamID{world: true, id: id}, func(s *stream) {
		s.introduce(m.GetNode())
		w := s.acks.(*worldAcks).of(m.GetTypeUrl())
		stale := m.GetResponseNonce() != w.nonce
		grown := false
		for _, name := range m.GetResourceNames() {
			grown = grown || !w.names[name]
		}
		if names := m.GetResourceNames(); len(names) > 0 && !stale {
			w.names = map[string]bool{}
			for _, name := range names {
				w.names[name] = true
			}
		}
		refused := m.GetErrorDetail().GetMessage()
		switch {
		case stale || w.nonce == "":
		case refused != "":
			var names []string
			if of := t.wanted[m.GetTypeUrl()]; w.sent >= of.cacheVersion {
				for name := range of.versions {
					names = append(names, name)
				}
			}
			s.refuse(m.GetTypeUrl(), names, refused)
		case grown:
			w.acked = 0
		default:
			w.acked = w.sent
		}
	})
}

// cacheVersion is the number of a cache's state, as it stands in its responses:
// our caches put nothing before it.
func cacheVersion(info string) uint64 {
	n, _ := strconv.ParseUint(info, 10, 64)
	return n
}
