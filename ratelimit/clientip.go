package ratelimit

import (
	"net/netip"
	"strings"
)

// ClientIPKey is the value by which a client's address is counted, the same
// for every way to write it: an IPv4 address as it is, an IPv6 address by its
// first so many bits, an IPv4-mapped one as IPv4; ports, brackets and zones are
// dropped. Text that is no address is its own value. ClientIPKey of a result is that
// result.
func ClientIPKey(addr string, bits int) string {
	ip, ok := parseIP(addr)
	if !ok {
		return addr
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return addr
	}
	return prefix.String()
}

func parseIP(addr string) (netip.Addr, bool) {
	if ip, err := netip.ParseAddr(addr); err == nil {
		return ip, true
	}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return ap.Addr(), true
	}
	bare, opened := strings.CutPrefix(addr, "[")
	bare, closed := strings.CutSuffix(bare, "]")
	if !opened || !closed {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(bare)
	return ip, err == nil && ip.Is6()
}
