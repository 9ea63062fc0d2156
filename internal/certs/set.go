// Package certs keeps the certificates of listeners, and those that are shown to
// backends: what the files hold that a config names, as it was when it was last
// good. A file that goes bad changes nothing, and is told of.
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

// Set is what the listeners of one config are served with, and what its backends
// are known by. It is immutable.
type Set struct {
	// Pairs are the certificates of listeners, by config.Certificate.Name.
	Pairs map[string]*Pair
	// Issued are those that are obtained by ACME, by domain.
	Issued map[string]*Issued
	// Challenges are what authorities are shown, by domain.
	Challenges map[string]*pki.Pair
	// Clients are the authorities for clients, by listener.
	Clients map[string]*Authorities
	// Shown are the certificates that are shown to backends, by backend.
	Shown map[string]*Pair
	// Roots are the authorities that vouch for backends, by RootsOf.
	Roots map[string]*Authorities
	// sum is the state of all files when they were read.
	sum pki.Sum
}

// Pair is a certificate that is shown.
type Pair struct {
	*pki.Pair
	// Name is config.Certificate.Name.
	Name string
	// Listeners are those that have it; none of one that is shown to a backend.
	Listeners []string
	// Fault is why what is in its files now is not served; nil where it is.
	Fault error

	cert, key string
}

// Authorities are those of one listener or backend, or those of the machine.
type Authorities struct {
	*pki.Authorities
	// Fault is as for Pair.
	Fault error

	ca, crl string
}

// Load reads what a config names, for whoever serves nothing: of what is obtained by
// ACME it has none.
func Load(c *config.Config) (*Set, error) { return read(c, &Set{}, nil, time.Now()) }

// read reads what a config names. What is bad is taken from before, where that
// has it; what it does not have is an error.
func read(c *config.Config, before *Set, issuer Issuer, now time.Time) (*Set, error) {
	s := &Set{Pairs: map[string]*Pair{}, Issued: map[string]*Issued{}, Challenges: map[string]*pki.Pair{}, Clients: map[string]*Authorities{}, Shown: map[string]*Pair{}, Roots: map[string]*Authorities{}}
	paths := filesOf(c)
	// Before the files are read: what changes meanwhile is another state, and is
	// read again.
	s.sum = pki.SumOf(paths...)
	for _, l := range c.Listeners {
		if l.TLS == nil {
			continue
		}
		if err := s.readListener(l, before, now); err != nil {
			return nil, fmt.Errorf("listener %s: %w", l.Name, err)
		}
		if l.TLS.ACME != nil && issuer != nil {
			if err := s.addIssued(l, issuer); err != nil {
				return nil, fmt.Errorf("listener %s: acme: %w", l.Name, err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Backends)) {
		b := c.Backends[name]
		if b.TLS == nil {
			continue
		}
		if err := s.readBackend(b, before, now); err != nil {
			return nil, fmt.Errorf("backend %s: %w", name, err)
		}
	}
	return s, nil
}

func (s *Set) readListener(l *config.Listener, before *Set, now time.Time) error {
	for _, certificate := range l.TLS.Certificates {
		if known := s.Pairs[certificate.Name]; known != nil {
			known.Listeners = append(known.Listeners, l.Name)
			continue
		}
		good, problem := pki.ReadPair(certificate.Cert, certificate.Key, now)
		p, err := pairOf(certificate, good, problem, before.Pairs)
		if err != nil {
			return fmt.Errorf("certificate %w", err)
		}
		p.Listeners = []string{l.Name}
		s.Pairs[certificate.Name] = p
	}
	if l.TLS.ClientCA == "" {
		return nil
	}
	good, problem := pki.ReadAuthorities(l.TLS.ClientCA, l.TLS.ClientCRL, now)
	var err error
	if s.Clients[l.Name], err = authoritiesOf(l.TLS.ClientCA, l.TLS.ClientCRL, good, problem, before.Clients); err != nil {
		return fmt.Errorf("clientCA %w", err)
	}
	return nil
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
	for _, b := range c.Backends {
		for _, path := range filesOfBackend(b) {
			all[path] = true
		}
	}
	delete(all, "")
	return slices.Sorted(maps.Keys(all))
}

// pairOf is what is good in the files of a certificate now, or else what was in them
// before; where there is none, the problem.
func pairOf(c *config.Certificate, good *pki.Pair, problem *pki.Problem, before map[string]*Pair) (*Pair, error) {
	p := &Pair{Pair: good, Name: c.Name, cert: c.Cert, key: c.Key}
	if problem == nil {
		return p, nil
	}
	for _, old := range before {
		if old.cert == c.Cert && old.key == c.Key {
			p.Pair, p.Fault = old.Pair, problem
			return p, nil
		}
	}
	return nil, problem
}

// authoritiesOf is pairOf for authorities.
func authoritiesOf(ca, crl string, good *pki.Authorities, problem *pki.Problem, before map[string]*Authorities) (*Authorities, error) {
	a := &Authorities{Authorities: good, ca: ca, crl: crl}
	if problem == nil {
		return a, nil
	}
	for _, old := range before {
		if old.ca == ca && old.crl == crl {
			a.Authorities, a.Fault = old.Authorities, problem
			return a, nil
		}
	}
	return nil, problem
}

// has tells of a file that what was read from it is in the set.
func (s *Set) has(path string) bool {
	if path == "" {
		return false
	}
	for _, all := range []map[string]*Pair{s.Pairs, s.Shown} {
		for _, p := range all {
			if path == p.cert || path == p.key {
				return true
			}
		}
	}
	for _, all := range []map[string]*Authorities{s.Clients, s.Roots} {
		for _, a := range all {
			if path == a.ca || path == a.crl {
				return true
			}
		}
	}
	return false
}

// part is one thing of a set: what it is called where it is told of, what it holds,
// and why what is in the files now is not it.
type part struct {
	name    string
	content string
	fault   error
	pair    *Pair // nil for authorities
}

// parts are all that there is in a set, by name.
func (s *Set) parts() map[string]part {
	out := map[string]part{}
	pair := func(name string, p *Pair) {
		out[name] = part{name, string(p.Chain) + string(p.Key), p.Fault, p}
	}
	authorities := func(name string, a *Authorities) {
		out[name] = part{name, string(a.CA) + string(a.CRL), a.Fault, nil}
	}
	for name, p := range s.Pairs {
		pair("certificate "+name, p)
	}
	for domain, p := range s.Issued {
		if !p.StandsIn {
			name := issuedName(domain)
			pair("certificate "+name, &Pair{Pair: p.Pair, Name: name, Listeners: p.Listeners})
		}
	}
	for name, p := range s.Shown {
		pair("certificate for backend "+name, p)
	}
	for name, a := range s.Clients {
		authorities("clientCA of listener "+name, a)
	}
	for name, a := range s.Roots {
		authorities(rootsTold(name), a)
	}
	return out
}

// faulty tells whether something is served as it was before.
func (s *Set) faulty() bool {
	for _, p := range s.parts() {
		if p.fault != nil {
			return true
		}
	}
	return false
}

// namesOf are the names that a certificate is for.
func namesOf(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
