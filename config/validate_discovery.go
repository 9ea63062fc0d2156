package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// whereabouts judges where a backend is, or who knows it.
func (c *checker) whereabouts(at *place, b *Backend) {
	list, _ := at.key("endpoints").find(c.report.root)
	switch {
	case b.Discovery == nil && list == nil && c.report.found(at.key("endpoints")): // else it is there under a wrong name
		if c.report.found(at.key("discovery")) {
			c.obey(at.key("endpoints"), "is missing: say where the backend is, or who knows it under discovery")
		}
	case b.Discovery != nil && list != nil:
		c.obey(at, "must have one of endpoints and discovery, not both")
	case b.Discovery != nil:
		c.discovery(at.key("discovery"), b.Discovery)
	default:
		c.must(len(b.Endpoints) > 0, at.key("endpoints"), "must not be empty")
		c.endpoints(at.key("endpoints"), b.Endpoints)
	}
	if b.DNS != nil {
		c.dns(at.key("dns"), b)
	}
}

func (c *checker) discovery(at *place, d *Discovery) {
	given := 0
	for _, is := range []bool{d.File != "", d.Consul != nil, d.SRV != nil} {
		if is {
			given++
		}
	}
	c.must(given == 1, at, "must have exactly one of file, consul and srv")
	if d.Consul != nil {
		c.consulService(at.key("consul"), d.Consul)
	}
	if d.SRV != nil {
		c.srvRecords(at.key("srv"), d.SRV)
	}
}

// maxConsulText bounds what becomes a part of a query.
const maxConsulText = 1000

func (c *checker) consulService(at *place, s *ConsulService) {
	for name, text := range map[string]string{"service": s.Service, "datacenter": s.Datacenter, "filter": s.Filter, "zoneMeta": s.ZoneMeta} {
		c.must(len(text) <= maxConsulText, at.key(name), fmt.Sprintf("must have at most %d bytes", maxConsulText))
	}
	c.must(s.Service == "" || !strings.ContainsAny(s.Service, "/?#%"), at.key("service"), "must be the name of a service: without / ? # and %")
	c.words(at.key("tags"), s.Tags)
}

func (c *checker) srvRecords(at *place, s *SRVRecords) {
	if s.Name != "" {
		c.obey(at.key("name"), srvNameRule(s.Name))
	}
	c.resolvers(at.key("resolvers"), s.Resolvers)
	c.refresh(at.key("refresh"), s.Refresh)
	oneOf(c, at.key("addresses"), s.Addresses, DNSIPv4First, DNSIPv4Only, DNSIPv6First, DNSIPv6Only, DNSBoth)
	if s.Zone != "" {
		c.obey(at.key("zone"), zoneRule(s.Zone))
	}
}

// srvName is the name of SRV records: labels, of which those of a service and a protocol
// begin with _ (RFC 2782).
var srvName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.?$`)

func srvNameRule(name string) string {
	if len(name) > 253 || !srvName.MatchString(name) {
		return "must be a name of DNS, as _http._tcp.users.internal"
	}
	return ""
}

// The bounds of what is asked of resolvers.
const (
	maxResolvers  = 8
	maxDNSTries   = 10
	maxQueryTime  = 30 * time.Second
	minDNSRefresh = 100 * time.Millisecond
)

func (c *checker) dns(at *place, b *Backend) {
	d := b.DNS
	c.must(b.Discovery == nil && (len(b.Endpoints) == 0 || b.ResolvedByDNS()), at, "needs endpoints that are host names")
	oneOf(c, at.key("mode"), d.Mode, DNSStrict, DNSLogical)
	c.must(d.Mode != DNSLogical || len(b.Endpoints) <= 1, at.key("mode"), "must be strict where there is more than one endpoint: Envoy connects to one name only in the other")
	oneOf(c, at.key("addresses"), d.Addresses, DNSIPv4First, DNSIPv4Only, DNSIPv6First, DNSIPv6Only, DNSBoth)
	c.refresh(at.key("refresh"), d.Refresh)
	c.must(!d.RespectTTL || d.Refresh == 0 || d.Refresh >= Duration(time.Second), at.key("refresh"), "must be at least 1s beside respectTTL")
	c.refresh(at.key("failureRefresh"), d.FailureRefresh)
	c.atMost(at.key("jitter"), d.Jitter, maxDuration)
	c.wholeSeconds(at.key("queryTimeout"), d.QueryTimeout, maxQueryTime)
	c.between(at.key("tries"), 0, int64(d.Tries), maxDNSTries)
	c.resolvers(at.key("resolvers"), d.Resolvers)
}

func (c *checker) resolvers(at *place, resolvers []string) {
	c.must(len(resolvers) <= maxResolvers, at, fmt.Sprintf("must have at most %d", maxResolvers))
	c.words(at, resolvers)
	for i, r := range resolvers {
		if r != "" {
			c.obey(at.index(i), resolverRule(r))
		}
	}
}

// refresh bounds how often a name is asked for.
func (c *checker) refresh(at *place, d Duration) {
	c.must(d == 0 || d >= Duration(minDNSRefresh), at, "must be at least "+Duration(minDNSRefresh).String())
	c.atMost(at, d, maxDuration)
}

// wholeSeconds bounds a time that Envoy counts in seconds.
func (c *checker) wholeSeconds(at *place, d Duration, most time.Duration) {
	c.must(d%Duration(time.Second) == 0, at, "must be a whole number of seconds")
	c.atMost(at, d, most)
}

func resolverRule(resolver string) string {
	address, err := netip.ParseAddrPort(resolver)
	switch {
	case err != nil || address.Port() == 0:
		return "must be the IP address and port of a DNS server, as 10.0.0.53:53"
	case address.Addr().Zone() != "" || address.Addr().IsUnspecified() || address.Addr().IsMulticast():
		return "must be an address that can be asked"
	}
	return ""
}
