package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	networkinputsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// In a handshake by QUIC Envoy looks at the certificate, and then at the key, of whatever
// is there at that moment: a secret that is replaced in between tears it (bench/quic). So
// in a listener by QUIC no secret with a key is ever replaced. Its certificates have names
// with the hash of what they are, and each set of them, a generation, filter chains of its
// own, beside those of the generations before. A matcher leads new connections to the
// newest; a connection that is there stays on its chain, which is not drained as long as it
// is in the listener, word for word. Envoy changes to another matcher between two events
// of a thread, and so between two handshakes.
//
// It is decided when secrets are added to a plan, which knows none: what stands in a plan
// is the listener as it would be with one generation.

// oldGenerations is how many of them stay beside the newest. Connections of those before
// are told to leave, and closed when their time to drain is over, as with each change of a
// listener: at one certificate in some weeks they are months old.
const oldGenerations = 4

// generationMark stands before the hash in a name. No name of a config has it.
const generationMark = "@"

// quicGenerations puts the listeners by QUIC in place of those of the plan.
func (s *set) quicGenerations() {
	s.next[resource.ListenerType] = maps.Clone(s.next[resource.ListenerType]) // the plan's stays as it is
	for name, planned := range s.next[resource.ListenerType] {
		l, ok := planned.Message.(*listenerv3.Listener)
		if !ok || l.GetUdpListenerConfig() == nil {
			continue
		}
		if keys := s.keysOf(l); keys != nil {
			s.put(resource.ListenerType, s.generations(name, l, keys, planned.refers))
		}
	}
}

// keysOf are the secrets with keys that the chains of a listener name, by these names; nil
// where one is missing, so that the listener cannot be served as it is.
func (s *set) keysOf(l *listenerv3.Listener) map[string]Resource {
	out := map[string]Resource{}
	for _, chain := range l.GetFilterChains() {
		for _, c := range certificatesIn(quicTLS(chain)) {
			secret, ok := s.next[resource.SecretType][c.GetName()]
			if !ok {
				return nil
			}
			out[c.GetName()] = secret
		}
	}
	return out
}

// generations is a listener with the newest generation and those before.
func (s *set) generations(name string, planned *listenerv3.Listener, keys map[string]Resource, refers []id) built {
	refers = slices.DeleteFunc(slices.Clone(refers), func(of id) bool { return of.typ == resource.SecretType && keys[of.name].Name != "" })
	l := proto.Clone(planned).(*listenerv3.Listener)
	l.FilterChainMatcher = newestFirst(l.GetFilterChains(), generationOf(keys))
	for i, chain := range l.GetFilterChains() {
		l.FilterChains[i] = ofGeneration(chain, keys)
	}
	for _, key := range keys {
		hashed := proto.Clone(key.Message).(*tlsv3.Secret)
		hashed.Name = hashedName(key)
		s.put(resource.SecretType, newResource(resource.SecretType, hashed.GetName(), hashed, nil))
	}
	l.FilterChains = append(l.GetFilterChains(), s.chainsBefore(name, planned, l)...)
	named := map[string]bool{}
	for _, chain := range l.GetFilterChains() {
		for _, c := range certificatesIn(quicTLS(chain)) {
			if !named[c.GetName()] {
				named[c.GetName()] = true
				refers = append(refers, id{resource.SecretType, c.GetName()})
			}
		}
	}
	return newResource(resource.ListenerType, name, l, nil, refers...)
}

// chainsBefore are the chains of the generations before the newest that are served, the
// newest of them first, and brings their secrets along. Those of which more has changed
// than certificates are none: their connections are to leave.
func (s *set) chainsBefore(name string, planned, next *listenerv3.Listener) []*listenerv3.FilterChain {
	before, ok := s.previous[resource.ListenerType][name].Message.(*listenerv3.Listener)
	if !ok {
		return nil
	}
	var plain []*listenerv3.FilterChain
	for _, chain := range planned.GetFilterChains() {
		plain = append(plain, ofGeneration(chain, nil))
	}
	var out []*listenerv3.FilterChain
	for _, chain := range before.GetFilterChains() {
		same := func(other *listenerv3.FilterChain) bool { return other.GetName() == chain.GetName() }
		if len(out) == oldGenerations*len(plain) || slices.ContainsFunc(next.GetFilterChains(), same) {
			continue
		}
		without := withoutGeneration(chain)
		if slices.ContainsFunc(plain, func(p *listenerv3.FilterChain) bool { return proto.Equal(p, without) }) && s.bring(chain) {
			out = append(out, chain)
		}
	}
	return out
}

// bring takes over the secrets of a chain of before, and tells whether they are there.
func (s *set) bring(chain *listenerv3.FilterChain) bool {
	for _, c := range certificatesIn(quicTLS(chain)) {
		secret, ok := s.previous[resource.SecretType][c.GetName()]
		if !ok {
			return false
		}
		s.put(resource.SecretType, built{Resource: secret})
	}
	return true
}

// generationOf is the hash of a set of keys.
func generationOf(keys map[string]Resource) string {
	var names []string
	for _, key := range keys {
		names = append(names, hashedName(key))
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	return hex.EncodeToString(sum[:6])
}

func hashedName(secret Resource) string { return secret.Name + generationMark + secret.Version[:12] }

// chainName is the name of a planned chain in a generation.
func chainName(planned *listenerv3.FilterChain, generation string) string {
	return planned.GetName() + generationMark + generation
}

// ofGeneration is a planned chain with these keys; with none, what all generations have
// in common.
func ofGeneration(planned *listenerv3.FilterChain, keys map[string]Resource) *listenerv3.FilterChain {
	chain := proto.Clone(planned).(*listenerv3.FilterChain)
	chain.FilterChainMatch = nil // the matcher has it
	if keys == nil {
		return naming(chain, func(secret string) string { return secret })
	}
	chain.Name = chainName(planned, generationOf(keys))
	return naming(chain, func(secret string) string { return hashedName(keys[secret]) })
}

// withoutGeneration is a chain without what is of its generation.
func withoutGeneration(chain *listenerv3.FilterChain) *listenerv3.FilterChain {
	chain = proto.Clone(chain).(*listenerv3.FilterChain)
	chain.Name, _, _ = strings.Cut(chain.GetName(), generationMark)
	return naming(chain, func(secret string) string {
		if i := strings.LastIndex(secret, generationMark); i >= 0 {
			return secret[:i]
		}
		return secret
	})
}

// naming gives the certificates of a chain other names.
func naming(chain *listenerv3.FilterChain, name func(string) string) *listenerv3.FilterChain {
	quic := quicTLS(chain)
	for _, c := range certificatesIn(quic) {
		c.Name = name(c.GetName())
	}
	chain.TransportSocket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: mustAny(quic)}
	return chain
}

// quicTLS is the transport socket of a chain, which is the caller's own.
func quicTLS(chain *listenerv3.FilterChain) *quicv3.QuicDownstreamTransport {
	quic := &quicv3.QuicDownstreamTransport{}
	if err := chain.GetTransportSocket().GetTypedConfig().UnmarshalTo(quic); err != nil {
		panic("xds: the socket of a listener by QUIC: " + err.Error()) // it is ours: a bug, not an input
	}
	return quic
}

func certificatesIn(quic *quicv3.QuicDownstreamTransport) []*tlsv3.SdsSecretConfig {
	return quic.GetDownstreamTlsContext().GetCommonTlsContext().GetTlsCertificateSdsSecretConfigs()
}

// newestFirst leads connections to the chains of a generation: by who they come from, as
// the chains themselves say in the plan.
func newestFirst(planned []*listenerv3.FilterChain, generation string) *matcherv3.Matcher {
	m := &matcherv3.Matcher{}
	for _, chain := range planned {
		to := does("chain", wrapperspb.String(chainName(chain, generation)))
		networks := chain.GetFilterChainMatch().GetSourcePrefixRanges()
		if len(networks) == 0 {
			m.OnNoMatch = to
			continue
		}
		of := &matcherv3.IPMatcher_IPRangeMatcher{OnMatch: to}
		for _, n := range networks {
			of.Ranges = append(of.Ranges, &xdscorev3.CidrRange{AddressPrefix: n.GetAddressPrefix(), PrefixLen: n.GetPrefixLen()})
		}
		m.MatcherType = &matcherv3.Matcher_MatcherTree_{MatcherTree: &matcherv3.Matcher_MatcherTree{
			Input: &xdscorev3.TypedExtensionConfig{Name: "source", TypedConfig: mustAny(&networkinputsv3.SourceIPInput{})},
			TreeType: &matcherv3.Matcher_MatcherTree_CustomMatch{CustomMatch: &xdscorev3.TypedExtensionConfig{
				Name: "networks", TypedConfig: mustAny(&matcherv3.IPMatcher{RangeMatchers: []*matcherv3.IPMatcher_IPRangeMatcher{of}}),
			}},
		}}
	}
	return m
}
