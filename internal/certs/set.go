// Package certs keeps the certificates of listeners: what the files hold that a
// config names, as it was when it was last good. A file that goes bad changes
// nothing, and is told of.
//
// Private keys are in memory alone. They are read from their files at every
// start: nothing of them is kept in the state folder, and a gateway that is
// started while its keys cannot be read does not start.
package certs

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

// Set is what the listeners of one config are served with. It is immutable.
type Set struct {
	// Pairs are the certificates of servers, by config.Certificate.Name.
	Pairs map[string]*Pair
	// Clients are the authorities for clients, by listener.
	Clients map[string]*Clients
	// sum is the state of all files when they were read.
	sum pki.Sum
}

// Pair is a certificate that is served.
type Pair struct {
	*pki.Pair
	// Listeners are those that have it.
	Listeners []string
	// Fault is why what is in its files now is not served; nil where it is.
	Fault error

	cert, key string
}

// Clients are the authorities of one listener.
type Clients struct {
	*pki.Authorities
	// Fault is as for Pair.
	Fault error

	ca, crl string
}

// Load reads what a config names, for whoever serves nothing.
func Load(c *config.Config) (*Set, error) { return read(c, &Set{}, time.Now()) }

// read reads what a config names. What is bad is taken from before, where that
// has it; what it does not have is an error.
func read(c *config.Config, before *Set, now time.Time) (*Set, error) {
	s := &Set{Pairs: map[string]*Pair{}, Clients: map[string]*Clients{}}
	paths := filesOf(c)
	// Before the files are read: what changes meanwhile is another state, and is
	// read again.
	s.sum = pki.SumOf(paths...)
	for _, l := range c.Listeners {
		if l.TLS == nil {
			continue
		}
		for _, certificate := range l.TLS.Certificates {
			if known := s.Pairs[certificate.Name]; known != nil {
				known.Listeners = append(known.Listeners, l.Name)
				continue
			}
			p, err := readPair(certificate, before, now)
			if err != nil {
				return nil, fmt.Errorf("listener %s: certificate %w", l.Name, err)
			}
			p.Listeners = []string{l.Name}
			s.Pairs[certificate.Name] = p
		}
		if l.TLS.ClientCA == "" {
			continue
		}
		clients, err := readClients(l, before, now)
		if err != nil {
			return nil, fmt.Errorf("listener %s: clientCA %w", l.Name, err)
		}
		s.Clients[l.Name] = clients
	}
	return s, nil
}

// filesOf are the paths of all that a config names, each once, in an order that
// does not change.
func filesOf(c *config.Config) []string {
	all := map[string]bool{}
	for _, l := range c.Listeners {
		if l.TLS == nil {
			continue
		}
		for _, p := range l.TLS.Certificates {
			all[p.Cert], all[p.Key] = true, true
		}
		all[l.TLS.ClientCA], all[l.TLS.ClientCRL] = true, true
	}
	delete(all, "")
	return slices.Sorted(maps.Keys(all))
}

func readPair(c *config.Certificate, before *Set, now time.Time) (*Pair, error) {
	p := &Pair{cert: c.Cert, key: c.Key}
	good, problem := pki.ReadPair(c.Cert, c.Key, now)
	if problem == nil {
		p.Pair = good
		return p, nil
	}
	old := before.Pairs[c.Name]
	if old == nil || old.cert != c.Cert || old.key != c.Key {
		return nil, problem
	}
	p.Pair, p.Fault = old.Pair, problem
	return p, nil
}

func readClients(l *config.Listener, before *Set, now time.Time) (*Clients, error) {
	c := &Clients{ca: l.TLS.ClientCA, crl: l.TLS.ClientCRL}
	good, problem := pki.ReadAuthorities(c.ca, c.crl, now)
	if problem == nil {
		c.Authorities = good
		return c, nil
	}
	old := before.Clients[l.Name]
	if old == nil || old.ca != c.ca || old.crl != c.crl {
		return nil, problem
	}
	c.Authorities, c.Fault = old.Authorities, problem
	return c, nil
}

// has tells of a file that what was read from it is in the set.
func (s *Set) has(path string) bool {
	for _, p := range s.Pairs {
		if path == p.cert || path == p.key {
			return true
		}
	}
	for _, c := range s.Clients {
		if path == c.ca || path == c.crl {
			return path != ""
		}
	}
	return false
}

// faults are the names of what is served as it was before, and why.
func (s *Set) faults() map[string]error {
	out := map[string]error{}
	for name, p := range s.Pairs {
		if p.Fault != nil {
			out["certificate "+name] = p.Fault
		}
	}
	for name, c := range s.Clients {
		if c.Fault != nil {
			out["clientCA of listener "+name] = c.Fault
		}
	}
	return out
}

// namesOf are the names that a certificate is for.
func namesOf(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
