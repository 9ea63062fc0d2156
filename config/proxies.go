package config

import (
	"slices"
	"strings"
)

// maxTrustedHops is more proxies than stand in a row anywhere.
const maxTrustedHops = 16

func (c *checker) trustedHops(at *place, hops int) { c.between(at, 0, int64(hops), maxTrustedHops) }

// HopsOf is how many proxies are believed in front of a listener.
func (c *Config) HopsOf(l *Listener) int {
	if l.TrustedHops != nil {
		return *l.TrustedHops
	}
	return c.TrustedHops
}

// TrustsProxies tells whether some listener has proxies in front that are
// believed: headers of proxies then mean something there.
func (c *Config) TrustsProxies() bool {
	return slices.ContainsFunc(c.Listeners, func(l *Listener) bool { return c.HopsOf(l) > 0 })
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
