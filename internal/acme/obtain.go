package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

// requestTimeout bounds one question to an authority.
const requestTimeout = 30 * time.Second

// obtain has an authority issue a certificate for a domain.
func (m *Manager) obtain(ctx context.Context, d *domain, settings *config.ACME) (*pki.Pair, error) {
	asking, err := client(settings)
	if err != nil {
		return nil, err
	}
	defer asking.HTTPClient.CloseIdleConnections()
	account, err := m.account(ctx, asking, settings)
	if err != nil {
		return nil, err
	}
	certificateKey, err := newKey()
	if err != nil {
		return nil, err
	}
	c := acmez.Client{Client: asking, ChallengeSolvers: map[string]acmez.Solver{
		string(settings.ChallengeType()): solver{m, d.key},
	}}
	chains, err := c.ObtainCertificateForSANs(ctx, account, certificateKey, []string{d.name})
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", settings.DirectoryURL(), err)
	}
	// An authority that has several chains gives its default first.
	pair, err := pki.ParsePair(chains[0].ChainPEM, pki.EncodeKey(certificateKey))
	if err != nil {
		return nil, fmt.Errorf("what %s has issued cannot be used: %w", settings.DirectoryURL(), err)
	}
	if err := pair.Leaf.VerifyHostname(d.name); err != nil {
		return nil, fmt.Errorf("what %s has issued cannot be used: %w", settings.DirectoryURL(), err)
	}
	return pair, nil
}

// client speaks to an authority, which the certificates of settings vouch for, or
// else those of the system.
func client(settings *config.ACME) (*acme.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if settings.CA != "" {
		pem, err := os.ReadFile(settings.CA)
		if err != nil {
			return nil, fmt.Errorf("reading who vouches for %s: %w", settings.DirectoryURL(), err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading who vouches for %s: %s has no certificate", settings.DirectoryURL(), settings.CA)
		}
	}
	return &acme.Client{
		Directory:   settings.DirectoryURL(),
		HTTPClient:  &http.Client{Transport: transport, Timeout: requestTimeout},
		UserAgent:   "gatewright",
		PollTimeout: obtainTimeout,
	}, nil
}

// answered tells an error that is an authority's word from one of the way to it.
func answered(err error) bool {
	var problem acme.Problem
	return errors.As(err, &problem)
}
