package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const (
	// maxTrustedHops is more proxies than stand in a row anywhere.
	maxTrustedHops = 16
	// maxNetworks is more than a large CDN has. Envoy looks through those of
	// proxies for each entry of an X-Forwarded-For.
	maxNetworks = 1000
)

func (c *checker) trustedHops(at *place, hops int) { c.between(at, 0, int64(hops), maxTrustedHops) }

// trustedProxies holds networks whose word is believed to be no more than that.
func (c *checker) trustedProxies(at *place, networks []string, counted bool) {
	c.must(networks == nil || !counted, at, "must not stand beside trustedHops: each of them says which proxies are believed")
	c.networks(at, networks)
	for i, n := range networks {
		if p, rule := ParseNetwork(n); rule == "" {
			c.must(p.Bits() > 0, at.index(i), "must not be everybody: each client could say who it is")
		}
	}
}

// proxiesBefore holds what is said of proxies in front of a listener to say it once.
func (c *checker) proxiesBefore(at *place, l *Listener) {
	if l.TrustedHops != nil {
		c.trustedHops(at.key("trustedHops"), *l.TrustedHops)
	}
	c.trustedProxies(at.key("trustedProxies"), l.TrustedProxies, l.TrustedHops != nil)
	if l.ProxyProtocol != nil {
		c.networks(at.key("proxyProtocol").key("from"), l.ProxyProtocol.From)
	}
}

func (c *checker) networks(at *place, networks []string) {
	c.must(len(networks) <= maxNetworks, at, fmt.Sprintf("must be at most %d", maxNetworks))
	first := map[netip.Prefix]bool{}
	for i, n := range networks {
		p, rule := ParseNetwork(n)
		c.obey(at.index(i), rule)
		if rule == "" {
			c.must(!first[p], at.index(i), "is listed twice")
			first[p] = true
		}
	}
}

// ParseNetwork reads a network, an address or a prefix, and says the rule that it
// breaks.
func ParseNetwork(s string) (netip.Prefix, string) {
	const form = "must be an address or a network, as 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32"
	p, err := netip.ParsePrefix(s)
	if a, none := netip.ParseAddr(s); none == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	switch {
	case err != nil:
		return netip.Prefix{}, form
	case p.Addr().Is4In6():
		return netip.Prefix{}, "must be written as an IPv4 network"
	case p != p.Masked():
		return netip.Prefix{}, "must be written as " + p.Masked().String()
	}
	return p, ""
}

// HopsOf is how many proxies are believed in front of a listener, by their number.
func (c *Config) HopsOf(l *Listener) int {
	switch {
	case l.TrustedHops != nil:
		return *l.TrustedHops
	case l.TrustedProxies != nil:
		return 0
	}
	return c.TrustedHops
}

// ProxiesOf are the networks of the proxies that are believed in front of a
// listener; none where their number is said, or nothing.
func (c *Config) ProxiesOf(l *Listener) []netip.Prefix {
	all := l.TrustedProxies
	if all == nil && l.TrustedHops == nil {
		all = c.TrustedProxies
	}
	return networksOf(all)
}

// Networks are those of From.
func (p *ProxyProtocol) Networks() []netip.Prefix { return networksOf(p.From) }

func networksOf(valid []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range valid {
		if p, rule := ParseNetwork(s); rule == "" {
			out = append(out, p)
		}
	}
	return out
}

// TrustsProxies tells whether some listener has proxies in front that are
// believed: headers of proxies then mean something there.
func (c *Config) TrustsProxies() bool {
	return slices.ContainsFunc(c.Listeners, func(l *Listener) bool { return c.HopsOf(l) > 0 || len(c.ProxiesOf(l)) > 0 })
}

// HearsOfClients tells whether some listener has the addresses of clients from others who
// are believed: from proxies, or from a PROXY header.
func (c *Config) HearsOfClients() bool {
	return c.TrustsProxies() || slices.ContainsFunc(c.Listeners, func(l *Listener) bool { return l.ProxyProtocol != nil })
}

// ProxyPrefix begins the names of headers that proxies set about the request as
// they got it, and ProxyHeaders are further ones, in lower case, sorted: for whom
// a proxy speaks, and which host and path were asked for. There are backends
// that take any of them for the truth. They are taken away where no proxy is
// believed. Of X-Forwarded-For and X-Forwarded-Proto Envoy makes its own.
const ProxyPrefix = "x-forwarded-"

// ProxyHeaders: see ProxyPrefix.
var ProxyHeaders = []string{
	"cf-connecting-ip", "fastly-client-ip", "forwarded", "true-client-ip", "x-client-ip", "x-cluster-client-ip",
	"x-host", "x-http-host-override", "x-original-host", "x-original-uri", "x-original-url", "x-real-ip", "x-rewrite-url",
}

// OfProxies tells whether a header is one that only believed proxies may set.
func OfProxies(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, ProxyPrefix) && name != "x-forwarded-for" && name != "x-forwarded-proto" ||
		slices.Contains(ProxyHeaders, name)
}
