package ratelimit

import (
	"net/netip"
	"testing"
)

// FuzzClientIPKey: what an address is counted by is the same for every way to write
// it, is itself when it is asked for again, and is of no other network.
func FuzzClientIPKey(f *testing.F) {
	for _, addr := range []string{"192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:443", "[2001:db8::1]", "fe80::1%eth0", "::ffff:192.0.2.1", "::", "", "\xff", "2001:db8::/64", "[192.0.2.1]", "1.2.3.4:", "%"} {
		for _, bits := range []int{1, 48, 64, 128} {
			f.Add(addr, bits)
		}
	}
	f.Fuzz(func(t *testing.T, addr string, bits int) {
		if bits < 1 || bits > 128 {
			return
		}
		key := ClientIPKey(addr, bits)
		if again := ClientIPKey(key, bits); again != key {
			t.Errorf("%q is counted by %q, and that by %q", addr, key, again)
		}
		ip, err := netip.ParseAddr(addr)
		if err != nil {
			return
		}
		bare := ip.Unmap().WithZone("")
		for _, spelling := range []string{ip.String(), ip.StringExpanded(), bare.String(), netip.AddrPortFrom(bare, 80).String(), netip.AddrFrom16(bare.As16()).String()} {
			if other := ClientIPKey(spelling, bits); other != key {
				t.Errorf("%q is counted by %q, and %q by %q", addr, key, spelling, other)
			}
		}
		if bare.Is6() {
			if prefix, err := netip.ParsePrefix(key); err != nil || !prefix.Contains(bare) || prefix.Bits() != bits {
				t.Errorf("%q is counted by %q", addr, key)
			}
		} else if key != bare.String() {
			t.Errorf("%q is counted by %q", addr, key)
		}
	})
}
