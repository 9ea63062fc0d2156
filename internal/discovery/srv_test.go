package discovery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// targetAt is a target with addresses.
func targetAt(priority, weight uint16, port uint16, addresses ...string) target {
	t := target{SRV: &net.SRV{Target: "t.test.", Priority: priority, Weight: weight, Port: port}}
	for _, a := range addresses {
		t.addresses = append(t.addresses, netip.MustParseAddr(a))
	}
	return t
}

// TestTargets: what endpoints records are.
func TestTargets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		targets []target
		want    []string
	}{
		"one":                             {[]target{targetAt(10, 5, 80, "10.0.0.1")}, []string{"10.0.0.1:80"}},
		"the same weight":                 {[]target{targetAt(1, 9, 80, "10.0.0.1"), targetAt(1, 9, 81, "10.0.0.1")}, []string{"10.0.0.1:80", "10.0.0.1:81"}},
		"weights":                         {[]target{targetAt(1, 3, 80, "10.0.0.1"), targetAt(1, 1, 81, "10.0.0.1")}, []string{"10.0.0.1:80 weight 3", "10.0.0.1:81"}},
		"no weight is the least":          {[]target{targetAt(1, 0, 80, "10.0.0.1"), targetAt(1, 7, 81, "10.0.0.1")}, []string{"10.0.0.1:80", "10.0.0.1:81 weight 7"}},
		"no weights at all":               {[]target{targetAt(1, 0, 80, "10.0.0.1"), targetAt(1, 0, 81, "10.0.0.1")}, []string{"10.0.0.1:80", "10.0.0.1:81"}},
		"large weights are scaled":        {[]target{targetAt(1, 65535, 80, "10.0.0.1"), targetAt(1, 13107, 81, "10.0.0.1"), targetAt(1, 1, 82, "10.0.0.1")}, []string{"10.0.0.1:80 weight 1000", "10.0.0.1:81 weight 200", "10.0.0.1:82"}},
		"a weight is shared out":          {[]target{targetAt(1, 4, 80, "10.0.0.1", "10.0.0.2"), targetAt(1, 4, 81, "10.0.0.3")}, []string{"10.0.0.1:80 weight 2", "10.0.0.2:80 weight 2", "10.0.0.3:81 weight 4"}},
		"priorities are ranks":            {[]target{targetAt(30, 1, 80, "10.0.0.3"), targetAt(7, 1, 80, "10.0.0.1"), targetAt(30, 1, 80, "10.0.0.4")}, []string{"10.0.0.1:80", "10.0.0.3:80 priority 1", "10.0.0.4:80 priority 1"}},
		"an address twice, better rank":   {[]target{targetAt(1, 1, 80, "10.0.0.1"), targetAt(2, 1, 80, "10.0.0.1"), targetAt(3, 1, 80, "10.0.0.2")}, []string{"10.0.0.1:80 weight 2", "10.0.0.2:80 priority 1"}},
		"a target without an address":     {[]target{targetAt(1, 1, 80), targetAt(2, 1, 80, "10.0.0.2")}, []string{"10.0.0.2:80"}},
		"an address that may be no one's": {[]target{targetAt(1, 1, 80, "169.254.169.254"), targetAt(2, 1, 80, "10.0.0.2")}, []string{"10.0.0.2:80"}},
		"IPv6":                            {[]target{targetAt(1, 1, 80, "2001:db8::1")}, []string{"[2001:db8::1]:80"}},
	} {
		w := discovering(t, nil, t.TempDir(), &config.Discovery{SRV: &config.SRVRecords{Name: "x.test"}})
		src := w.newSource("x", w.config.Backends["b"].Discovery, w.config)
		src.takeTargets(c.targets)
		var got []string
		for _, e := range src.known() {
			got = append(got, e.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	var many []target
	for i := range 40 {
		many = append(many, targetAt(uint16(i), 1, uint16(80+i), "10.0.0.1"))
	}
	all := endpointsOf(many, "")
	if ranked(all); all[39].Priority != config.MaxRank || all[3].Priority != 3 {
		t.Errorf("of 40 priorities the fourth is rank %d and the last %d", all[3].Priority, all[39].Priority)
	}
}

// answers is a DNS server that knows what it is given.
type answers struct {
	records []*net.SRV
	// hosts are those that have addresses, and faults what is answered for others.
	hosts map[string]string
	fault error
}

func (a answers) LookupSRV(_ context.Context, service, proto, _ string) (string, []*net.SRV, error) {
	if service != "" || proto != "" {
		return "", nil, errors.New("asked for another name")
	}
	return "", a.records, a.fault
}

func (a answers) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if address, ok := a.hosts[host]; ok {
		return []netip.Addr{netip.MustParseAddr(address)}, nil
	}
	if a.fault != nil {
		return nil, a.fault
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: host != "slow.test.", IsTimeout: host == "slow.test."}
}

// TestResolveSRV: who has no answer is passed over; who says that there is none is
// believed; and a target of which nothing is known, as its server is slow, is a fault and
// not one target less.
func TestResolveSRV(t *testing.T) {
	t.Parallel()
	record := func(target string) *net.SRV { return &net.SRV{Target: target, Port: 80} }
	down := answers{fault: &net.DNSError{Err: "server misbehaving", IsTemporary: true}}
	none := answers{fault: &net.DNSError{Err: "no such host", IsNotFound: true}}
	hosts := map[string]string{"a.test.": "10.0.0.1", "b.test.": "10.0.0.2"}
	for name, c := range map[string]struct {
		servers []lookup
		want    string
		fault   string
	}{
		"the first has it":             {[]lookup{answers{records: []*net.SRV{record("a.test."), record("b.test.")}, hosts: hosts}, none}, "10.0.0.1 10.0.0.2", ""},
		"the first is away":            {[]lookup{down, answers{records: []*net.SRV{record("a.test.")}, hosts: hosts}}, "10.0.0.1", ""},
		"the first says there is none": {[]lookup{none, answers{records: []*net.SRV{record("a.test.")}, hosts: hosts}}, "", ""},
		"all are away":                 {[]lookup{down, down}, "", "asking for the records"},
		"the service is not there":     {[]lookup{answers{records: []*net.SRV{record(".")}}}, "", ""},
		"a target without an address":  {[]lookup{answers{records: []*net.SRV{record("a.test."), record("gone.test.")}, hosts: hosts}}, "10.0.0.1", ""},
		"a target of a slow server":    {[]lookup{answers{records: []*net.SRV{record("a.test."), record("slow.test.")}, hosts: hosts}}, "", "asking for the addresses of slow.test."},
		"some records are malformed":   {[]lookup{answers{records: []*net.SRV{record("a.test.")}, hosts: hosts, fault: &net.DNSError{Err: "malformed"}}}, "10.0.0.1", ""},
	} {
		found, err := resolveSRV(t.Context(), c.servers, &config.SRVRecords{Name: "x.test"})
		var got []string
		for _, f := range found {
			for _, a := range f.addresses {
				got = append(got, a.String())
			}
		}
		if strings.Join(got, " ") != c.want || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %q, %v; want %q, %q", name, got, err, c.want, c.fault)
		}
	}
}

// TestFamilies: which addresses of a target are used.
func TestFamilies(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	for family, want := range map[config.DNSFamily][3][]netip.Addr{ // of both, of IPv4 alone, of IPv6 alone
		"":                  {{v4}, {v4}, {v6}},
		config.DNSIPv4First: {{v4}, {v4}, {v6}},
		config.DNSIPv6First: {{v6}, {v4}, {v6}},
		config.DNSIPv4Only:  {{v4}, {v4}, nil},
		config.DNSIPv6Only:  {{v6}, nil, {v6}},
		config.DNSBoth:      {{v4, v6}, {v4}, {v6}},
	} {
		for i, all := range [][]netip.Addr{{v6, netip.MustParseAddr("::ffff:10.0.0.1")}, {v4}, {v6}} {
			if got := ofFamily(all, family); !slices.Equal(got, want[i]) {
				t.Errorf("%s of %v: %v, want %v", family, all, got, want[i])
			}
		}
	}
}
