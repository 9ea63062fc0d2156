package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxWeight is the most that an endpoint can weigh.
const MaxWeight = 1000

// MaxRank is the highest priority of endpoints.
const MaxRank = 15

func (c *checker) endpoints(at *place, endpoints []*Endpoint) {
	seen := map[endpoint]bool{}
	addresses, names := false, false
	for i, said := range endpoints {
		at := at.index(i)
		c.share(at, said)
		e, rule := parseEndpoint(said.Address)
		if rule != "" {
			c.obey(c.addressOf(at), rule)
			continue
		}
		c.must(!seen[e], at, "is listed twice")
		c.must(!c.ownListener(e), at, "is the gateway's own listener: requests would go round in a loop")
		seen[e] = true
		if e.address.IsValid() {
			addresses = true
		} else {
			names = true
		}
	}
	c.must(!addresses || !names, at, "must be all IP addresses or all host names: Envoy resolves the one and not the other")
	c.ranks(at, endpoints)
}

// addressOf is where the address of an endpoint stands: in its place, or below it.
func (c *checker) addressOf(at *place) *place {
	if node, _ := at.find(c.report.root); node != nil && target(node).Kind == yaml.MappingNode {
		return at.key("address")
	}
	return at
}

// share judges what an endpoint has beside others.
func (c *checker) share(at *place, e *Endpoint) {
	c.between(at.key("weight"), 0, int64(e.Weight), MaxWeight)
	c.between(at.key("priority"), 0, int64(e.Priority), MaxRank)
	if e.Zone != "" {
		c.obey(at.key("zone"), zoneRule(e.Zone))
	}
}

// ranks holds the ranks of endpoints to have no gaps, as Envoy wants it.
func (c *checker) ranks(at *place, endpoints []*Endpoint) {
	has := map[int]bool{}
	for _, e := range endpoints {
		has[e.Priority] = true
	}
	for rank := range MaxRank {
		if len(endpoints) > 0 && !has[rank] && slices.ContainsFunc(endpoints, func(e *Endpoint) bool { return e.Priority > rank && e.Priority <= MaxRank }) {
			c.obey(at, fmt.Sprintf("has an endpoint of a priority above %d, and none of %d", rank, rank))
			return
		}
	}
}

// zoneRule judges the name of a zone.
func zoneRule(zone string) string {
	if !nameForm.MatchString(zone) {
		return "a zone has 1 to 63 letters, digits, dots, dashes and underscores, and begins and ends with a letter or digit"
	}
	return ""
}

// endpoint is one host:port. Two of them are equal where Envoy would connect
// to the same.
type endpoint struct {
	address netip.Addr // invalid for a host name
	name    string     // in lower case, without a final dot; "" for an address
	port    uint16
}

// parseEndpoint reads host:port, and says the rule that it breaks.
func parseEndpoint(s string) (endpoint, string) {
	host, portText, err := net.SplitHostPort(s)
	if err != nil {
		return endpoint{}, "must be host:port, as 10.0.0.5:8080, [::1]:8080 or users.internal:8080"
	}
	port, rule := parsePort(portText)
	if rule != "" {
		return endpoint{}, rule
	}
	e := endpoint{port: port}
	if address, err := netip.ParseAddr(host); err == nil {
		e.address = address.Unmap()
	} else {
		e.name = strings.TrimSuffix(strings.ToLower(host), ".")
		if rule := hostNameRule(e.name); rule != "" {
			return e, rule
		}
	}
	return e, destinationRule(e.address, e.name)
}

var labelForm = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// hostNameRule judges a DNS name (RFC 1123, and underscores, which containers
// are named with). A name that ends in a number is refused, because resolvers
// take 2130706433 and 127.1 for addresses.
func hostNameRule(name string) string {
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if !labelForm.MatchString(label) {
			return "must have a DNS name as its host: letters, digits and dashes between dots"
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	_, err := strconv.ParseUint(strings.TrimPrefix(last, "0x"), 16, 64)
	switch {
	case len(name) > 253:
		return "must have a host name of at most 253 characters"
	case strings.Trim(last, "0123456789") == "", strings.HasPrefix(last, "0x") && err == nil:
		return "must have a host name that does not end in a number, or a whole IP address"
	}
	return ""
}

// instanceMetadata are the addresses, beyond the link-local ones, at which
// clouds hand out credentials to whoever asks from within.
var instanceMetadata = []netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS, over IPv6
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure's WireServer
}

// destinationRule refuses what a gateway must not be pointed at.
func destinationRule(address netip.Addr, name string) string {
	switch {
	case name == "metadata.google.internal", HandsOutCredentials(address):
		return "must not be an instance metadata or link-local address: it hands out credentials"
	case address.Zone() != "":
		return "must not have a zone"
	case address.IsValid() && (address.IsUnspecified() || address.IsMulticast()):
		return fmt.Sprintf("must be an address that can be connected to, not %s", address)
	}
	return ""
}

// HandsOutCredentials reports whether an address is link-local or one of those
// at which clouds hand out credentials. A resolver's answer is judged by it, too.
func HandsOutCredentials(address netip.Addr) bool {
	address = translated(address)
	return address.IsLinkLocalUnicast() ||
		slices.ContainsFunc(instanceMetadata, func(p netip.Prefix) bool { return p.Contains(address) })
}

// Prefixes of IPv6 addresses in which there is one of IPv4.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	compatible = netip.MustParsePrefix("::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
)

// translated is the IPv4 address that an IPv6 address stands for, as a network may
// translate it: mapped (RFC 4291), by NAT64 (RFC 6052), by 6to4 (RFC 3056) or in the
// form that was used before those. Any other is itself.
func translated(address netip.Addr) netip.Addr {
	address = address.Unmap()
	if !address.Is6() {
		return address
	}
	b := address.As16()
	switch {
	case nat64.Contains(address), compatible.Contains(address) && b[12] != 0:
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(address):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return address
}

// ownListener tells whether an endpoint is a listener of this gateway.
func (c *checker) ownListener(e endpoint) bool {
	return slices.ContainsFunc(c.bound[e.port], func(listener netip.Addr) bool { return reaches(e, listener) })
}

// reaches tells whether connecting to e may arrive at a listener on an address
// of this machine. Which other addresses the machine has is not known here.
func reaches(e endpoint, listener netip.Addr) bool {
	switch {
	case e.name == "localhost":
		return listener.IsUnspecified() || listener.IsLoopback()
	case listener.IsUnspecified():
		return e.address.IsLoopback() && e.address.Is4() == listener.Is4()
	}
	return e.address == listener
}
