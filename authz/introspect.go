package authz

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/prometheus/client_golang/prometheus"
)

// defaultIntrospectionTimeout leaves a part of the second that Envoy waits.
const defaultIntrospectionTimeout = 800 * time.Millisecond

var (
	errNoIntrospector = errors.New("the introspection provider is not known here")
	errNoSecret       = errors.New("the client secret's environment variable is not set")
)

// IntrospectorsOptions are what Introspectors needs. The zero value works: no
// log, no metrics, the usual transport, the process's environment.
type IntrospectorsOptions struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Transport carries the questions. Nil is the one of key sets, which trusts
	// the provider's own authorities where it names some.
	Transport http.RoundTripper
	// Getenv looks up client secrets. Nil is os.Getenv.
	Getenv func(name string) string
}

// Introspectors ask issuers about opaque tokens (RFC 7662), and remember for a
// bounded time what they said. What is remembered is kept by the issuer's
// endpoint, and not by the provider's name, so that a reload does not ask about
// everybody again. Close it after use.
type Introspectors struct {
	log       *slog.Logger
	metrics   *introspectionMetrics
	transport http.RoundTripper
	getenv    func(string) string

	// ctx ends with Close, and asking are the questions under way.
	ctx    context.Context
	end    context.CancelFunc
	asking sync.WaitGroup

	// exchanging serialises the changes of sources.
	exchanging sync.Mutex
	sources    atomic.Pointer[map[introspectionPlace]*introspector]
}

// introspectionPlace is what makes two providers ask the same question, and
// remember the answer alike.
type introspectionPlace struct {
	url, clientID, secretEnv, ca string
	timeout                      config.Duration
	cache                        config.IntrospectionCache
}

func introspectionPlaceOf(p *config.Introspection) introspectionPlace {
	return introspectionPlace{p.URL, p.ClientID, p.ClientSecretEnv, p.CA, p.Timeout, p.Cache}
}

// NewIntrospectors returns Introspectors that know no issuer until Ensure.
func NewIntrospectors(o IntrospectorsOptions) *Introspectors {
	i := &Introspectors{log: o.Log, metrics: newIntrospectionMetrics(o.Registerer), transport: o.Transport, getenv: o.Getenv}
	if i.log == nil {
		i.log = slog.New(slog.DiscardHandler)
	}
	if i.getenv == nil {
		i.getenv = os.Getenv
	}
	i.ctx, i.end = context.WithCancel(context.Background())
	return i
}

// Ensure makes these providers, and no others, known. Call it before the
// policies that name them are published, with the providers of every policy
// that an Envoy may still name. Certificates and secrets are read anew. One
// that cannot be read makes its provider a 503.
func (i *Introspectors) Ensure(providers []*config.Introspection) {
	i.exchanging.Lock()
	defer i.exchanging.Unlock()
	var old map[introspectionPlace]*introspector
	if known := i.sources.Load(); known != nil {
		old = *known
	}
	next := make(map[introspectionPlace]*introspector, len(providers))
	for _, p := range providers {
		place := introspectionPlaceOf(p)
		if next[place] != nil {
			continue
		}
		s := old[place]
		if s == nil {
			s = newIntrospector(i.ctx, &i.asking, p)
		}
		access, err := i.access(p)
		if err != nil {
			i.log.Error("an issuer cannot be asked about tokens: they get a 503", "provider", p.Name, "error", err)
		}
		s.renew(access)
		next[place] = s
	}
	i.sources.Store(&next)
	i.metrics.retain(providers)
}

// access is how a provider's issuer is asked; nil beside an error.
func (i *Introspectors) access(p *config.Introspection) (*issuerAccess, error) {
	secret := i.getenv(p.ClientSecretEnv)
	if secret == "" {
		return nil, fmt.Errorf("reading %s: %w", p.ClientSecretEnv, errNoSecret)
	}
	a := &issuerAccess{url: p.URL, authorization: basicAuthorization(p.ClientID, secret)}
	if i.transport != nil {
		a.client = remoteClient(i.transport)
		return a, nil
	}
	var trust *tls.Config
	if p.CA != "" {
		pem, err := readFile(p.CA, 1<<20)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities of %s: %w", p.Name, err)
		}
		trust = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the authorities of %s: no certificate in %s", p.Name, p.CA)
		}
	}
	transport := remoteTransport(trust)
	transport.MaxIdleConnsPerHost = maxQuestions
	a.client = remoteClient(transport)
	return a, nil
}

// Close gives up the questions under way, and waits until they have ended.
// Whoever asks then gets an error.
func (i *Introspectors) Close() {
	i.exchanging.Lock()
	defer i.exchanging.Unlock()
	i.end()
	i.asking.Wait()
	if known := i.sources.Load(); known != nil {
		for _, s := range *known {
			s.renew(nil)
		}
	}
}

// ask is what the provider's issuer says of a token, now or a while ago.
func (i *Introspectors) ask(ctx context.Context, p *config.Introspection, token string) (introspected, error) {
	known := i.sources.Load()
	if known == nil {
		return introspected{}, errNoIntrospector
	}
	s := (*known)[introspectionPlaceOf(p)]
	if s == nil {
		return introspected{}, errNoIntrospector
	}
	found, cached, err := s.ask(ctx, token)
	i.metrics.count(p.Name, found, cached, err)
	return found, err
}
