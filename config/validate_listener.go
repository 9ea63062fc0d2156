package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

func (c *checker) listeners(at *place) {
	named, bound := map[string]*place{}, map[netip.AddrPort]*place{}
	c.sameKeys(at)
	c.sameACME(at)
	for i, l := range c.cfg.Listeners {
		at := at.index(i)
		c.listener(at, l)
		c.unique(at.key("name"), l.Name, named)
		address, rule := parseAddress(l.Address)
		if first, taken := bound[address]; taken && rule == "" {
			c.obey(at.key("address"), fmt.Sprintf("is already the address of the listener on line %d", c.line(first)))
		} else {
			bound[address] = at.key("address")
		}
	}
}

func (c *checker) listener(at *place, l *Listener) {
	c.name(at.key("name"), l.Name)
	_, rule := parseAddress(l.Address)
	c.obey(at.key("address"), rule)
	oneOf(c, at.key("rateLimit"), l.RateLimit, RateLimitService, RateLimitFilter)
	if l.TLS != nil {
		c.listenerTLS(at.key("tls"), l.TLS)
	}
	c.https(at, l)
	c.proxiesBefore(at, l)
	if l.Bounds != nil {
		c.bounds(at.key("bounds"), l.Bounds)
	}
}

// boundAddresses are the addresses of the valid listeners, by port.
func boundAddresses(cfg *Config) map[uint16][]netip.Addr {
	bound := map[uint16][]netip.Addr{}
	for _, l := range cfg.Listeners {
		if address, rule := parseAddress(l.Address); rule == "" {
			bound[address.Port()] = append(bound[address.Port()], address.Addr())
		}
	}
	return bound
}

// unique holds names to be used once. first remembers where.
func (c *checker) unique(at *place, name string, first map[string]*place) {
	if name == "" {
		return
	}
	if other, taken := first[name]; taken {
		c.obey(at, fmt.Sprintf("is already the name on line %d", c.line(other)))
		return
	}
	first[name] = at
}

// parseAddress reads a listener's address, and says the rule that it breaks.
func parseAddress(s string) (netip.AddrPort, string) {
	const form = "must be an IP address and a port, as 0.0.0.0:8080 or [::]:8080"
	host, portText, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, form
	}
	address, err := netip.ParseAddr(host)
	if err != nil || address.Zone() != "" {
		return netip.AddrPort{}, form
	}
	if rule := bindableRule(address); rule != "" {
		return netip.AddrPort{}, rule
	}
	port, rule := parsePort(portText)
	return netip.AddrPortFrom(address, port), rule
}

// bindableRule refuses addresses that no machine can listen on. Which of the
// others are this machine's own, Envoy will say.
func bindableRule(address netip.Addr) string {
	switch {
	case address.Is4In6():
		return "must be written as " + address.Unmap().String()
	case address.Is6() && address.IsLinkLocalUnicast():
		return "must not be link-local: without a zone it means no interface"
	case address.IsMulticast(), address == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "must be an address of a machine, and this one is of many"
	}
	return ""
}

// parsePort reads a port that can be listened on or connected to.
func parsePort(s string) (uint16, string) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return 0, "must have a port from 1 to 65535"
	}
	return uint16(port), ""
}
