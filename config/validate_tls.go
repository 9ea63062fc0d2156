package config

import (
	"fmt"

	"github.com/gatewright/gatewright/internal/pki"
)

// maxCertificates bounds those of a listener: Envoy looks through them in each
// handshake that asks for a name which none of them has.
const maxCertificates = 100

func (c *checker) listenerTLS(at *place, t *ListenerTLS) {
	oneOf(c, at.key("minVersion"), t.MinVersion, "1.2", "1.3")
	oneOf(c, at.key("clientCertificate"), t.ClientCertificate, ClientCertificateOptional, ClientCertificateRequired)
	c.must(len(t.Certificates)+len(t.domains()) <= maxCertificates, at.key("certificates"), fmt.Sprintf("must be at most %d, with the domains of acme", maxCertificates))
	c.must(len(t.Certificates) > 0 || t.ACME != nil, at.key("certificates"), "is missing: list some, or have them obtained by acme")
	if t.ACME != nil {
		c.acme(at.key("acme"), t.ACME)
	}
	first := map[string]bool{}
	for i, pair := range t.Certificates {
		at := at.key("certificates").index(i)
		if pair.Cert == "" || pair.Key == "" {
			continue // decoding has said so
		}
		c.must(!first[pair.Cert], at.key("cert"), "is listed twice")
		first[pair.Cert] = true
		if c.beside.served(pair.Cert) && c.beside.served(pair.Key) {
			continue
		}
		if _, problem := pki.ReadPair(pair.Cert, pair.Key, c.now); problem != nil {
			c.obey(at.key(string(problem.Part)), problem.Rule)
		}
	}
	c.clients(at, t)
	c.handshakes(at, t)
}

// clients holds what is said of client certificates to an authority that
// verifies them.
func (c *checker) clients(at *place, t *ListenerTLS) {
	if t.ClientCA == "" {
		const needs = "needs clientCA: without it no client is asked for a certificate"
		c.must(t.ClientCRL == "", at.key("clientCRL"), needs)
		c.must(t.ClientCertificate == "", at.key("clientCertificate"), needs)
		c.must(!t.ForwardClientCertificate, at.key("forwardClientCertificate"), needs)
		return
	}
	if c.beside.served(t.ClientCA) && (t.ClientCRL == "" || c.beside.served(t.ClientCRL)) {
		return
	}
	_, problem := pki.ReadAuthorities(t.ClientCA, t.ClientCRL, c.now)
	switch {
	case problem == nil:
	case problem.Part == pki.CRL:
		c.obey(at.key("clientCRL"), problem.Rule)
	default:
		c.obey(at.key("clientCA"), problem.Rule)
	}
}

// sameKeys holds a certificate that several listeners have to one key.
func (c *checker) sameKeys(at *place) {
	type pair struct {
		key string
		at  *place
	}
	known := map[string]pair{}
	for i, l := range c.cfg.Listeners {
		if l.TLS == nil {
			continue
		}
		for j, p := range l.TLS.Certificates {
			if p.Cert == "" || p.Key == "" {
				continue
			}
			at := at.index(i).key("tls").key("certificates").index(j).key("key")
			if other, ok := known[p.Cert]; ok && other.key != p.Key {
				c.obey(at, fmt.Sprintf("must be the key that the same certificate has on line %d", c.line(other.at)))
			} else if !ok {
				known[p.Cert] = pair{p.Key, at}
			}
		}
	}
}
