package authz

import (
	"context"
	"crypto"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/prometheus/client_golang/prometheus"
)

// firstSetPatience is how long Ensure waits for the first sets of new sources.
const firstSetPatience = 2 * time.Second

// KeySetsOptions are what KeySets needs. The zero value works: no log, no
// metrics, the usual transport.
type KeySetsOptions struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Transport carries the fetches of key sets. Nil is one that uses the
	// environment's proxy and refuses addresses of cloud metadata, and those of
	// this machine that are not written as such.
	Transport http.RoundTripper
	// Folder is where the sets that were fetched are kept for the next start.
	// It is made when it is needed. Empty keeps none.
	Folder string
	// Getenv looks up the secrets of providers that have one in place of public
	// keys. Nil is os.Getenv.
	Getenv func(name string) string
}

// KeySets keeps the key sets of all issuers loaded and fresh, in the
// background: a request only reads memory, and waits for at most one shared
// fetch when its token names a key that is not known. A set is kept by its
// source (URL, issuer, file or text), not by the provider's name, so a reload of
// the config neither forgets keys nor fetches them again. Close it after use.
type KeySets struct {
	log     *slog.Logger
	metrics *jwksMetrics
	client  *http.Client
	folder  string

	// exchanging serialises the changes of sources, and guards closed.
	exchanging sync.Mutex
	closed     bool
	sources    atomic.Pointer[map[keyPlace]*keySource]

	getenv  func(string) string
	secrets atomic.Pointer[map[secretPlace]*tokenSecret]
}

// keyPlace is where a key set is, and how long it is used unconfirmed. Two
// providers of one place share a source. issuer is empty but where the place is
// to be discovered.
type keyPlace struct {
	config.JWKS
	issuer string
}

func placeOf(p *config.JWT) keyPlace {
	if p.JWKS.Discover {
		return keyPlace{p.JWKS, p.Issuer}
	}
	return keyPlace{JWKS: p.JWKS}
}

// NewKeySets returns a KeySets that holds nothing until Ensure.
func NewKeySets(o KeySetsOptions) *KeySets {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Transport == nil {
		o.Transport = remoteTransport(nil)
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	return &KeySets{log: o.Log, metrics: newJWKSMetrics(o.Registerer), client: remoteClient(o.Transport), folder: o.Folder, getenv: o.Getenv}
}

// Ensure starts the sources of the providers that are new, and stops those
// that no provider has any more. Call it before the policies of these
// providers are published, with the providers of every policy that an Envoy
// may still name: a source that is gone is a 503 for those who use it.
//
// It waits for the first set of each new source, but not beyond two seconds
// or the context: an issuer that is down delays a start or a reload, and does
// not stop it.
func (k *KeySets) Ensure(ctx context.Context, providers []*config.JWT) {
	started := k.exchange(providers, false)
	ctx, cancel := context.WithTimeout(ctx, firstSetPatience)
	defer cancel()
	for _, s := range started {
		if !s.awaitFirst(ctx) {
			k.log.Warn("no keys yet, tokens of this issuer get a 503", "jwks", s.name)
		}
	}
}

// Close stops every source, and waits until its goroutine has ended. Lookups
// then find nothing.
func (k *KeySets) Close() {
	k.exchange(nil, true)
}

// exchange makes the providers' sources the current ones, and returns those
// that are new. Once it was the last time, nothing starts any more.
func (k *KeySets) exchange(providers []*config.JWT, last bool) []*keySource {
	k.exchanging.Lock()
	defer k.exchanging.Unlock()
	if k.closed {
		return nil
	}
	k.closed = last
	k.readSecrets(providers)
	old := k.all()
	next := make(map[keyPlace]*keySource, len(providers))
	var started []*keySource
	for place, names := range namesBySource(providers) {
		s := old[place]
		if s == nil {
			s = k.newSource(place)
			started = append(started, s)
		}
		s.meter.setProviders(names)
		next[place] = s
	}
	for _, s := range started {
		s.start()
	}
	k.sources.Store(&next)
	for place, s := range old {
		if next[place] == nil {
			s.close()
		}
	}
	k.metrics.retain(providers)
	return started
}

func namesBySource(providers []*config.JWT) map[keyPlace][]string {
	names := map[keyPlace][]string{}
	for _, p := range providers {
		if p.SecretEnv != "" {
			continue // it has no set
		}
		// One provider may come twice, from an old policy and a new one.
		if place := placeOf(p); !slices.Contains(names[place], p.Name) {
			names[place] = append(names[place], p.Name)
		}
	}
	return names
}

func (k *KeySets) newSource(place keyPlace) *keySource {
	s := &keySource{
		log:   k.log,
		meter: &sourceMeter{metrics: k.metrics},
		ready: make(chan struct{}),
		asked: make(chan struct{}, 1),
		done:  make(chan struct{}),
	}
	switch {
	case place.IsRemote():
		s.retry, s.fetches = urlRetry, true
		s.maxStale = place.MaxStale.Or(defaultMaxStale)
		if k.folder != "" {
			s.keeper = &keeper{k.folder, place.source()}
		}
		if place.Discover {
			s.name, s.load = redacted(discoveryURL(place.issuer)), (&discovery{client: k.client, place: place}).load
		} else {
			s.name, s.load = redacted(place.URL), loadURL(k.client, place.URL)
		}
	case place.File != "":
		s.name, s.load, s.retry = place.File, loadFile(place.File), fileRetry
	default:
		s.name, s.load, s.once = "inline", loadInline(place.Inline), true
	}
	return s
}

// lookup returns the public key that may have signed the token, out of the
// provider's set, or the secret where it has one.
func (k *KeySets) lookup(ctx context.Context, provider *config.JWT, t token) (crypto.PublicKey, *refusal) {
	if provider.SecretEnv != "" {
		if secret := k.secretOf(provider); secret != nil {
			return secret, nil
		}
		return nil, refuse(ReasonJWKSUnavailable)
	}
	s := k.all()[placeOf(provider)]
	if s == nil {
		return nil, refuse(ReasonJWKSUnavailable)
	}
	set := s.usable(time.Now())
	if set == nil {
		return nil, refuse(ReasonJWKSUnavailable)
	}
	if key, ok := set.find(t); ok {
		return key, nil
	}
	// Only a kid can be news: without one the token fits no key, or several.
	if !t.hasKID || !s.refetch(ctx) {
		return nil, refuse(ReasonTokenKeyUnknown)
	}
	if key, ok := s.current.Load().find(t); ok {
		return key, nil
	}
	return nil, refuse(ReasonTokenKeyUnknown)
}

func (k *KeySets) all() map[keyPlace]*keySource {
	if m := k.sources.Load(); m != nil {
		return *m
	}
	return nil
}
