package acme

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

const (
	// poll is how often the folder is looked at: for what other gateways have
	// obtained, and for what they ask.
	poll = time.Second
	// spread is how long a challenge has before the authority is told of it, where
	// other gateways may be the ones that are asked: until all have looked, and
	// their Envoys have what they have seen.
	spread = 3 * time.Second
	// atOnce bounds how many certificates are obtained at a time.
	atOnce = 4
	// obtainTimeout bounds one try.
	obtainTimeout = 5 * time.Minute
	// maxAnswer bounds how long a challenge is kept whose gateway has died.
	maxAnswer = time.Hour
)

// Options are what a Manager is built from.
type Options struct {
	// Folder is where certificates, their keys and accounts are kept. It is made when
	// something is to be kept.
	Folder string
	// Shared: other gateways have the same folder, and may be asked what this one
	// is to prove.
	Shared bool
	// Serve has all Envoys take what Issued and Challenge return now, and waits until
	// they have. It is called by one goroutine at a time or several.
	Serve func(context.Context) error
	// Ready tells that some Envoy listens: before, no authority could find an answer.
	Ready      func() bool
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Clock is the time that certificates are judged at. Nil is time.Now.
	Clock func() time.Time
}

// Manager has the certificates of all domains.
type Manager struct {
	folder  folder
	spread  time.Duration
	serve   func(context.Context) error
	ready   func() bool
	log     *slog.Logger
	now     func() time.Time
	metrics metrics
	wake    chan struct{}
	slots   chan struct{}
	tries   sync.WaitGroup

	mu      sync.Mutex
	domains map[string]*domain // by key
	wanted  map[string]bool    // their keys
	answers answers
}

// New returns a Manager that wants nothing. Call Run.
func New(o Options) *Manager {
	m := &Manager{
		folder: folder(o.Folder), serve: o.Serve, ready: o.Ready, log: o.Log, now: o.Clock, metrics: newMetrics(o.Registerer),
		wake: make(chan struct{}, 1), slots: make(chan struct{}, atOnce),
		domains: map[string]*domain{}, wanted: map[string]bool{}, answers: newAnswers(),
	}
	if m.now == nil {
		m.now = time.Now
	}
	if o.Shared {
		m.spread = spread
	}
	return m
}

// Issued is what a domain is served with: the certificate that it has, or a
// stand-in. fault says why it has none, or not the next one, where that has failed.
// An error is a fault of this machine.
func (m *Manager) Issued(settings *config.ACME, name string) (pair *pki.Pair, standsIn bool, fault, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.domain(settings, name)
	if err != nil {
		return nil, false, nil, err
	}
	return d.pair, d.standsIn, d.problem(), nil
}

// Challenge is what a domain is served with to whom asks by acme-tls/1.
func (m *Manager) Challenge(settings *config.ACME, name string) (*pki.Pair, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.domain(settings, name)
	if err != nil {
		return nil, err
	}
	if d.challengePair() == nil {
		if d.challengeStandIn, err = standIn(name, m.now()); err != nil {
			return nil, err
		}
	}
	return d.challengePair(), nil
}

// domain is a name with what there is of it.
func (m *Manager) domain(settings *config.ACME, name string) (*domain, error) {
	k := key(settings, name)
	if d := m.domains[k]; d != nil {
		return d, nil
	}
	d := &domain{key: k, name: name, settings: settings}
	if !m.reload(d) {
		p, err := standIn(name, m.now())
		if err != nil {
			return nil, err
		}
		d.pair, d.standsIn = p, true
	}
	m.domains[k] = d
	return d, nil
}

// Want says which config is served: its domains are to have certificates, and what
// has failed is tried anew.
func (m *Manager) Want(c *config.Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted = map[string]bool{}
	for _, l := range c.Listeners {
		if l.TLS == nil || l.TLS.ACME == nil {
			continue
		}
		for _, name := range l.TLS.ACME.Domains {
			k := key(l.TLS.ACME, name)
			m.wanted[k] = true
			if d := m.domains[k]; d != nil && d.settings != l.TLS.ACME {
				if !reflect.DeepEqual(d.settings, l.TLS.ACME) {
					d.again, d.failures = time.Time{}, 0
				}
				d.settings = l.TLS.ACME
			}
		}
	}
	maps.DeleteFunc(m.domains, func(k string, d *domain) bool { return !m.wanted[k] && !d.busy })
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run obtains and renews until the context ends, and waits for what is under way.
func (m *Manager) Run(ctx context.Context) error {
	defer m.tries.Wait()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var listening time.Time // since when some Envoy does; its workers may be a little later
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		case <-tick.C:
		}
		if !m.wantsAny() {
			continue
		}
		if m.look() {
			m.serveNow(ctx)
		}
		if listening.IsZero() && m.ready() {
			listening = time.Now()
		}
		if !listening.IsZero() && time.Since(listening) >= poll/2 {
			m.begin(ctx)
		}
	}
}

func (m *Manager) wantsAny() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.wanted) > 0
}

// look reads what others have put into the folder, and tells whether something is to
// be served anew.
func (m *Manager) look() (changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.wanted {
		if d := m.domains[k]; d != nil && !d.busy && m.folder.stateOf(certificates, d.file()) != d.read && m.reload(d) {
			changed = true
			m.log.Info("another gateway has obtained a certificate", "domain", d.name, "expires", d.pair.Leaf.NotAfter)
		}
	}
	return m.lookForChallenges() || changed
}

// reload reads the certificate of a domain, and tells whether there is one.
func (m *Manager) reload(d *domain) bool {
	read := m.folder.stateOf(certificates, d.file())
	if read == (state{}) {
		return false
	}
	d.read = read // what cannot be used is told of once
	content, err := m.folder.load(certificates, d.file())
	if err != nil {
		m.log.Error("a certificate that was obtained cannot be read; it is obtained anew", "domain", d.name, "error", err)
		return false
	}
	p, err := pki.ParsePair(content, content)
	if err == nil {
		err = p.Leaf.VerifyHostname(d.name)
	}
	if err != nil {
		m.log.Error("a certificate that was obtained cannot be used; it is obtained anew", "domain", d.name, "error", err)
		return false
	}
	d.take(p, read)
	return true
}

func (m *Manager) serveNow(ctx context.Context) {
	if err := m.serve(ctx); err != nil && ctx.Err() == nil {
		m.log.Error("what was obtained is not served yet", "error", err)
	}
}

// begin tries what is due, as far as there is room.
func (m *Manager) begin(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.wanted {
		d := m.domains[k]
		if d == nil || !d.due(m.now()) {
			continue
		}
		select {
		case m.slots <- struct{}{}:
		default:
			return
		}
		d.busy = true
		settings := d.settings
		m.tries.Go(func() {
			defer func() { <-m.slots }()
			m.try(ctx, d, settings)
		})
	}
}

// try obtains a certificate, unless another gateway does.
func (m *Manager) try(ctx context.Context, d *domain, settings *config.ACME) {
	defer m.set(func() { d.busy = false })
	pair, err := m.tryAlone(ctx, d, settings)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		m.metrics.results.WithLabelValues("failed").Inc()
		m.set(func() {
			d.failed(err, m.now(), answered(err))
			m.log.Error("a certificate was not obtained", "domain", d.name, "error", d.problem(), "served", d.served(m.now()))
		})
	case pair == nil:
		return
	default:
		m.metrics.results.WithLabelValues("obtained").Inc()
		m.log.Info("certificate obtained", "domain", d.name, "expires", pair.Leaf.NotAfter, "renewal", renewAt(pair.Leaf, time.Duration(settings.RenewBefore)))
	}
	m.serveNow(ctx) // what there is now, and how it stands
}

// tryAlone obtains a certificate while no other gateway does. It returns none where
// one does, or has.
func (m *Manager) tryAlone(ctx context.Context, d *domain, settings *config.ACME) (*pki.Pair, error) {
	release, err := m.folder.lock(d.key)
	if err != nil || release == nil {
		return nil, err // by and by there is its certificate, or the lock
	}
	defer release()
	if m.obtainedMeanwhile(d) {
		m.serveNow(ctx)
		return nil, nil
	}
	limited, cancel := context.WithTimeout(ctx, obtainTimeout)
	defer cancel()
	pair, err := m.obtain(limited, d, settings)
	if err != nil {
		return nil, err
	}
	return pair, m.keep(d, pair)
}

// obtainedMeanwhile tells of a certificate that another gateway has obtained
// between two looks.
func (m *Manager) obtainedMeanwhile(d *domain) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.folder.stateOf(certificates, d.file()) != d.read && m.reload(d)
}

// keep puts a pair into the folder, and has it served. One that cannot be kept is
// served all the same: it was hard to come by.
func (m *Manager) keep(d *domain, p *pki.Pair) error {
	err := m.folder.save(certificates, d.file(), append(append([]byte{}, p.Key...), p.Chain...))
	m.set(func() { d.take(p, m.folder.stateOf(certificates, d.file())) })
	if err != nil {
		return fmt.Errorf("keeping it: %w", err)
	}
	return nil
}

func (m *Manager) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}
