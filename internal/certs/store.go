package certs

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

// Settings are what the environment says.
type Settings struct {
	// Poll is how often the files are read. A change is taken when two readings in
	// a row are the same: what writes two files writes them one after the other, and
	// a pair of which one half is new yet is no fault to be told. It is more than 0.
	Poll time.Duration `envconfig:"GATEWRIGHT_CERTIFICATE_POLL" default:"500ms"`
}

// defaultPoll is Settings.Poll where nobody says it.
const defaultPoll = 500 * time.Millisecond

// again is how often what could not be used is read though it has not changed:
// its time may have come.
const again = 30 * time.Second

// Store has the set that is served.
type Store struct {
	log     *slog.Logger
	now     func() time.Time
	poll    time.Duration
	metrics metrics
	issuer  Issuer
	served  atomic.Pointer[served]
}

// served is a set, and the config that names it.
type served struct {
	set    *Set
	config *config.Config
}

// Options are what a Store is built from.
type Options struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Issuer has what is obtained by ACME. Nil has nothing.
	Issuer Issuer
	// Clock is the time that certificates are judged at. Nil is time.Now.
	Clock func() time.Time
	// Poll is Settings.Poll. What is not more than 0 is the default.
	Poll time.Duration
}

// NewStore returns a store that serves nothing.
func NewStore(o Options) *Store {
	s := &Store{log: o.Log, now: o.Clock, issuer: o.Issuer, poll: o.Poll, metrics: newMetrics(o.Registerer)}
	if s.poll <= 0 {
		s.poll = defaultPoll
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.served.Store(&served{set: &Set{sum: pki.SumOf()}, config: &config.Config{}})
	return s
}

// Read reads what a config names. Of what is served already and cannot be used
// any more, it has what is served; anything else that cannot be used is an error.
func (s *Store) Read(c *config.Config) (*Set, error) {
	return read(c, s.served.Load().set, s.issuer, s.now())
}

// Serve says that a set is what the listeners and backends of a config are served
// with, and tells of what has changed.
func (s *Store) Serve(c *config.Config, next *Set) {
	before := s.served.Load().set.parts()
	s.served.Store(&served{set: next, config: c})
	s.metrics.show(next)
	for name, p := range next.parts() {
		old, known := before[name]
		switch {
		case p.fault != nil && (old.fault == nil || old.fault.Error() != p.fault.Error()):
			s.metrics.reloads.WithLabelValues("invalid").Inc()
			s.log.Error("what is in the files now is not served; what was before is", "of", name, "error", p.fault)
		case p.fault == nil && (!known || old.content != p.content):
			s.metrics.reloads.WithLabelValues("applied").Inc()
			s.tellServed(p)
		}
	}
}

func (s *Store) tellServed(p part) {
	switch {
	case p.pair == nil:
		s.log.Info("authorities served", "of", p.name)
	case p.pair.Listeners == nil:
		s.log.Info("certificate shown to a backend", "of", p.name, "certificate", p.pair.Name, "expires", p.pair.Leaf.NotAfter)
	default:
		s.log.Info("certificate served", "certificate", p.pair.Name, "names", namesOf(p.pair.Leaf), "expires", p.pair.Leaf.NotAfter)
	}
}

// Serves tells of the path of a file that what was read from it is served, and
// stays so whatever becomes of the file.
func (s *Store) Serves(path string) bool { return s.served.Load().set.has(path) }

// Follow calls changed when the files of the set that is served have changed and
// stay so, until the context ends. They are small, so that their content is
// compared and not their times, which on some file systems stand still.
func (s *Store) Follow(ctx context.Context, changed func(context.Context)) error {
	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	var seen pki.Sum
	tried := time.Now()
	expired := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := s.served.Load()
		s.tellExpired(now.set, expired)
		state := pki.SumOf(filesOf(now.config)...)
		faulty := now.set.faulty() && time.Since(tried) > again
		if (state != now.set.sum || faulty) && state == seen {
			changed(ctx)
			tried = time.Now()
		}
		seen = state
	}
}

// tellExpired tells once of each certificate that is served beyond its time: a
// bad one may have been put in its place, or none.
func (s *Store) tellExpired(set *Set, told map[string]bool) {
	for name, p := range set.parts() {
		if p.pair == nil {
			continue
		}
		switch over := s.now().After(p.pair.Leaf.NotAfter); {
		case over && !told[name]:
			s.log.Error("a certificate has expired that is served for want of another", "certificate", p.pair.Name, "expired", p.pair.Leaf.NotAfter)
			told[name] = true
		case !over:
			delete(told, name)
		}
	}
}
