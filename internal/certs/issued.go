package certs

import (
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

// Issuer has the certificates that are obtained by ACME.
type Issuer interface {
	// Issued is what a domain is served with, be it a stand-in, and why it has no
	// certificate, or not the next one, where that has failed.
	Issued(settings *config.ACME, domain string) (pair *pki.Pair, standsIn bool, fault, err error)
	// Challenge is what an authority is shown that wants to see a domain by TLS.
	Challenge(settings *config.ACME, domain string) (*pki.Pair, error)
}

// Issued is a certificate that is obtained by ACME.
type Issued struct {
	*pki.Pair
	// StandsIn: it is none yet, but a stand-in that no client takes.
	StandsIn bool
	// Listeners are those that have it.
	Listeners []string
	// Fault is why there is none, or not the next one; nil where nothing has failed.
	Fault error
}

// issuedName is what logs and metrics call the certificate of a domain.
func issuedName(domain string) string { return "acme:" + domain }

func (s *Set) addIssued(l *config.Listener, issuer Issuer) error {
	for _, domain := range l.TLS.ACME.Domains {
		if known := s.Issued[domain]; known != nil {
			known.Listeners = append(known.Listeners, l.Name)
			continue
		}
		pair, standsIn, fault, err := issuer.Issued(l.TLS.ACME, domain)
		if err != nil {
			return err
		}
		s.Issued[domain] = &Issued{Pair: pair, StandsIn: standsIn, Listeners: []string{l.Name}, Fault: fault}
		if l.TLS.ACME.ChallengeType() != config.ChallengeTLS {
			continue
		}
		if s.Challenges[domain], err = issuer.Challenge(l.TLS.ACME, domain); err != nil {
			return err
		}
	}
	return nil
}
