package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/internal/pki"
)

func (c *checker) backendTLS(at *place, b *Backend) {
	t := b.TLS
	oneOf(c, at.key("minVersion"), t.MinVersion, "1.2", "1.3")
	c.serverName(at, b)
	c.roots(at.key("ca"), t.CA)
	if p := t.Certificate; p != nil && p.Cert != "" && p.Key != "" && !(c.beside.served(p.Cert) && c.beside.served(p.Key)) {
		if _, problem := pki.ReadClientPair(p.Cert, p.Key, c.now); problem != nil {
			c.obey(at.key("certificate").key(string(problem.Part)), problem.Rule)
		}
	}
}

// roots holds a bundle to have authorities. Without a path it is the machine's own.
func (c *checker) roots(at *place, path string) {
	if path == "" {
		if path, _ := pki.SystemRoots(); path != "" && c.beside.served(path) {
			return
		}
		if _, problem := pki.ReadSystemRoots(c.now); problem != nil {
			c.obey(at, "is needed: the authorities that this machine trusts cannot be used: "+problem.Error())
		}
		return
	}
	if c.beside.served(path) {
		return
	}
	if _, problem := pki.ReadAuthorities(path, "", c.now); problem != nil {
		c.obey(at, problem.Rule)
	}
}

// serverName holds a backend to have a name by which it is known from others whose
// certificates the same authorities have signed.
func (c *checker) serverName(at *place, b *Backend) {
	name := b.TLS.ServerName
	if name == "" {
		c.must(b.Discovery == nil && !slices.ContainsFunc(b.Endpoints, isAddress), at, "needs a serverName: the endpoints are addresses, and have no name that a certificate must be for")
		return
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return
	}
	at = at.key("serverName")
	if rule := hostNameRule(name); rule != "" {
		c.obey(at, strings.NewReplacer("must have a DNS name as its host", "must be a DNS name or an IP address").Replace(rule))
	}
}

func isAddress(e *Endpoint) bool {
	_, err := netip.ParseAddrPort(e.Address)
	return err == nil
}
