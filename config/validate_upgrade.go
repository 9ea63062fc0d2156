package config

import (
	"slices"
	"strings"
)

// upgrades holds a route to protocols that its backends can be switched to.
func (c *checker) upgrades(at *place, r *Route) {
	if len(r.Upgrades) == 0 {
		return
	}
	c.words(at.key("upgrades"), r.Upgrades)
	for i, token := range r.Upgrades {
		c.obey(at.key("upgrades").index(i), upgradeRule(token))
	}
	get := len(r.Match.Methods) == 0 || slices.Contains(r.Match.Methods, "GET")
	c.must(get || !slices.Contains(r.Upgrades, "websocket"), at.key("upgrades"),
		"need the method GET for websocket, and the route does not take it")
	for i, d := range r.To {
		if b := c.cfg.Backends[d.Backend]; b != nil && b.SpeaksHTTP2() {
			c.obey(at.key("to").index(i).key("backend"), "must have protocol http1: the route upgrades connections")
		}
	}
	const rule = "must not stand beside upgrades: of a connection that goes on there is no copy"
	c.must(r.Mirror == nil, at.key("mirror"), rule)
	c.must(len(r.Mirrors) == 0, at.key("mirrors"), rule)
}

// upgradeRule judges a protocol's token. CONNECT and its kin are tunnels to
// wherever the client likes, and of HTTP and TLS there is nothing to switch to
// that a connection does not begin with.
func upgradeRule(token string) string {
	name, version, versioned := strings.Cut(token, "/")
	switch {
	case token == "": // has its fault
		return ""
	case token != strings.ToLower(token):
		return "must be in lower case"
	case !isToken(name), versioned && !isToken(version):
		return "must be the token of a protocol, as websocket or spdy/3.1"
	case name == "connect", strings.HasPrefix(name, "connect-"):
		return "must not be a tunnel: the gateway passes no CONNECT"
	case name == "h2c", name == "http", name == "tls":
		return "must not be a version of HTTP or TLS: connections begin with it, or never have it"
	}
	return ""
}
