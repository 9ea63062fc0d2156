package certs

import (
	"fmt"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

// systemRoots is the key in Set.Roots of the authorities that this machine trusts:
// all backends that name none have them, and no backend is called so.
const systemRoots = ""

// RootsOf is the key in Set.Roots of the authorities of a backend that has TLS.
func RootsOf(b *config.Backend) string {
	if b.TLS.CA == "" {
		return systemRoots
	}
	return b.Name
}

// rootsTold is what authorities are called where they are told of.
func rootsTold(key string) string {
	if key == systemRoots {
		return "the authorities that this machine trusts"
	}
	return "ca of backend " + key
}

func (s *Set) readBackend(b *config.Backend, before *Set, now time.Time) error {
	if key := RootsOf(b); s.Roots[key] == nil {
		path, good, problem := readRoots(b, now)
		roots, err := authoritiesOf(path, "", good, problem, before.Roots)
		if err != nil {
			return fmt.Errorf("ca %w", err)
		}
		s.Roots[key] = roots
	}
	c := b.TLS.Certificate
	if c == nil {
		return nil
	}
	good, problem := pki.ReadClientPair(c.Cert, c.Key, now)
	p, err := pairOf(c, good, problem, before.Shown)
	if err != nil {
		return fmt.Errorf("certificate %w", err)
	}
	s.Shown[b.Name] = p
	return nil
}

func readRoots(b *config.Backend, now time.Time) (path string, good *pki.Authorities, problem *pki.Problem) {
	if b.TLS.CA == "" {
		path, _ = pki.SystemRoots()
		good, problem = pki.ReadSystemRoots(now)
		return path, good, problem
	}
	good, problem = pki.ReadAuthorities(b.TLS.CA, "", now)
	return b.TLS.CA, good, problem
}

// filesOfBackend are the paths that a backend names, and that of the authorities
// that it has where it names none.
func filesOfBackend(b *config.Backend) []string {
	if b.TLS == nil {
		return nil
	}
	files := []string{b.TLS.CA}
	if b.TLS.CA == "" {
		files[0], _ = pki.SystemRoots()
	}
	if c := b.TLS.Certificate; c != nil {
		files = append(files, c.Cert, c.Key)
	}
	return files
}
