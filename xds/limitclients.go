package xds

import (
	"slices"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimitcommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// clientKey is a form in which a limit inside Envoy counts by clients' addresses: the
// actions that find it, and the entries of its descriptor.
type clientKey struct {
	actions []*routev3.RateLimit_Action
	entries []*ratelimitcommonv3.RateLimitDescriptor_Entry
}

// The names of the entries.
const (
	networkEntry = "masked_remote_address" // Envoy's own for it
	mappedEntry  = "mapped"
	addressEntry = "address"
)

// mappedAddress fits the text of an address of IPv4 in IPv6 (RFC 4291, section 2.5.5.2).
const mappedAddress = `::ffff:[0-9]+\.[0-9.]+`

// clientKeys are the forms in which a limit counts clients; each client has one of them.
// What a proxy writes may be an address of IPv4 in IPv6. To Envoy the network of all of
// these is one client, and so they are counted each by itself. (From a socket it has them
// as IPv4. Its action that matches addresses is made of what it calls work in progress.)
func (b builder) clientKeys(l *config.Limit) []clientKey {
	network := clientKey{
		actions: []*routev3.RateLimit_Action{{ActionSpecifier: &routev3.RateLimit_Action_MaskedRemoteAddress_{
			MaskedRemoteAddress: &routev3.RateLimit_Action_MaskedRemoteAddress{V6PrefixMaskLen: wrapperspb.UInt32(uint32(l.ClientPrefix()))},
		}}},
		entries: []*ratelimitcommonv3.RateLimitDescriptor_Entry{{Key: networkEntry}},
	}
	if !b.tellsMapped(l) {
		return []clientKey{network}
	}
	const yes, no = "yes", "no"
	network.actions = append(network.actions, ifMapped(false, no))
	network.entries = append(network.entries, &ratelimitcommonv3.RateLimitDescriptor_Entry{Key: mappedEntry, Value: no})
	return []clientKey{network, {
		actions: []*routev3.RateLimit_Action{ifMapped(true, yes), headerKey(addressEntry, config.CountedAddressHeader)},
		entries: []*ratelimitcommonv3.RateLimitDescriptor_Entry{{Key: mappedEntry, Value: yes}, {Key: addressEntry}},
	}}
}

// tellsMapped tells whether a limit may have to count such addresses.
func (b builder) tellsMapped(l *config.Limit) bool {
	return slices.Contains(l.Key, config.KeyClientIP) && b.config.HearsOfClients()
}

// clientHeader tells the limit of the client's address.
func (b builder) clientHeader(l *config.Limit) []*mutationv3.HeaderMutation {
	if !b.tellsMapped(l) {
		return nil
	}
	return []*mutationv3.HeaderMutation{putHeader(config.CountedAddressHeader, "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")}
}

// ifMapped is an entry for clients with such an address, or for all others. Where it is not
// there, nor is the descriptor.
func ifMapped(yes bool, value string) *routev3.RateLimit_Action {
	return &routev3.RateLimit_Action{ActionSpecifier: &routev3.RateLimit_Action_HeaderValueMatch_{
		HeaderValueMatch: &routev3.RateLimit_Action_HeaderValueMatch{
			DescriptorKey: mappedEntry, DescriptorValue: value, ExpectMatch: wrapperspb.Bool(yes),
			Headers: []*routev3.HeaderMatcher{header(config.CountedAddressHeader, fits(mappedAddress))},
		},
	}}
}
