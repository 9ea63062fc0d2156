package xds

import (
	"maps"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// deltaAcks are the acknowledgements of incremental xDS, whose responses name
// each resource with its version.
type deltaAcks struct {
	// sent are the wanted versions in each response that is not yet answered.
	sent map[string]map[string]string // by nonce, then resource name
	// have are the wanted versions that this Envoy has acknowledged.
	have map[resource.Type]map[string]string
}

func newDeltaAcks() *deltaAcks {
	return &deltaAcks{sent: map[string]map[string]string{}, have: map[resource.Type]map[string]string{}}
}

func (a *deltaAcks) begin() { clear(a.have) }

func (a *deltaAcks) has(t resource.Type, of wantedOf) bool {
	for name, version := range of.versions {
		if a.have[t][name] != version {
			return false
		}
	}
	return true
}

func (a *deltaAcks) note(t resource.Type, versions map[string]string) {
	if len(versions) == 0 {
		return
	}
	if a.have[t] == nil {
		a.have[t] = map[string]string{}
	}
	maps.Copy(a.have[t], versions)
}

// deltaResponded notes which wanted versions go out under a nonce.
func (t *tracker) deltaResponded(id int64, m *discoveryv3.DeltaDiscoveryResponse) {
	t.with(streamID{id: id}, func(s *stream) {
		versions := map[string]string{}
		for _, r := range m.GetResources() {
			if t.wanted[m.GetTypeUrl()].versions[r.GetName()] == r.GetVersion() {
				versions[r.GetName()] = r.GetVersion()
			}
		}
		s.acks.(*deltaAcks).sent[m.GetNonce()] = versions
	})
}

// deltaAnswered notes what an Envoy says to a response. The first request of a
// type has no nonce: it only subscribes, and may bring versions from an earlier
// stream.
func (t *tracker) deltaAnswered(id int64, m *discoveryv3.DeltaDiscoveryRequest) {
	t.with(streamID{id: id}, func(s *stream) {
		s.introduce(m.GetNode())
		a, typeURL := s.acks.(*deltaAcks), m.GetTypeUrl()
		brought := maps.Clone(m.GetInitialResourceVersions())
		maps.DeleteFunc(brought, func(name, version string) bool { return t.wanted[typeURL].versions[name] != version })
		a.note(typeURL, brought)
		sent := a.sent[m.GetResponseNonce()]
		delete(a.sent, m.GetResponseNonce())
		if refused := m.GetErrorDetail().GetMessage(); refused != "" {
			s.refuse(typeURL, slices.Collect(maps.Keys(sent)), refused)
			return
		}
		a.note(typeURL, sent)
	})
}
