// Package discovery knows where backends are whose endpoints are not in the config:
// what a file, Consul or DNS says of them, as it was when that was last of use. A file that
// goes bad, and who is away or says that there is nothing, change nothing, and
// are told of. What was known last is kept on disk, for a start while nobody can be
// asked.
//
// Endpoints are not a part of a plan: they change without a change of the config,
// and go to Envoys as resources of their own (EDS).
package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/consul"
)

// firstAnswer is how long a source is waited for that a config names for the first
// time.
const firstAnswer = 2 * time.Second

// Store has the sources of the config that is served, and of one that is about to be.
type Store struct {
	options Options
	ctx     context.Context // ends all sources
	end     context.CancelFunc
	running sync.WaitGroup
	moved   chan struct{}
	metrics metrics

	mu      sync.Mutex // guards all below
	sources map[string]*source
	config  *config.Config // that is served
}

// Options are what a Store is built from.
type Options struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Folder is where the endpoints that were known last are kept.
	Folder string
	// Consul is the client of Consul, or why there is none. It is asked when a config
	// needs it.
	Consul func() (*consul.Client, error)
	// Wait is how long a query waits for a change, and Gap the least time from one
	// query to the next. 0 means a minute and 200 ms.
	Wait, Gap time.Duration
}

// NewStore returns a store that knows nothing. Close ends what it starts.
func NewStore(o Options) *Store {
	o.Wait, o.Gap = cmp.Or(o.Wait, time.Minute), cmp.Or(o.Gap, 200*time.Millisecond)
	s := &Store{options: o, moved: make(chan struct{}, 1), sources: map[string]*source{}, config: &config.Config{}}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.metrics = newMetrics(o.Registerer)
	return s
}

// Close ends all sources, and waits for them.
func (s *Store) Close() {
	s.end()
	s.running.Wait()
}

// Moved is sent to when some endpoints are others than before.
func (s *Store) Moved() <-chan struct{} { return s.moved }

// Prepare asks the sources that a config names, and waits for the answers of those that
// nothing is known of: a while, so that no request meets a backend without endpoints just
// since its config was quicker. The error says which have not answered, or with what
// that is of no use.
func (s *Store) Prepare(ctx context.Context, c *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	var errs []error
	for name, src := range s.begin(c) {
		select {
		case <-src.tried:
		case <-ctx.Done():
		}
		if err := src.unknown(); err != nil {
			errs = append(errs, fmt.Errorf("backends.%s.discovery: %w", name, err))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// begin has the sources of a config run, by the names of its backends.
func (s *Store) begin(c *config.Config) map[string]*source {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]*source{}
	for name, b := range c.Backends {
		if b.Discovery == nil {
			continue
		}
		key := keyOf(b.Discovery)
		if s.sources[key] == nil {
			src := s.newSource(key, b.Discovery, c)
			s.sources[key] = src
			s.running.Go(func() { src.run(src.ctx) })
		}
		out[name] = s.sources[key]
	}
	return out
}

// keyOf names a source by all that is said of it: backends of which the same is said
// share one.
func keyOf(d *config.Discovery) string {
	text, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("discovery: naming a source: %v", err)) // texts and flags
	}
	return string(text)
}

// Endpoints are those of the backends of a config that has been prepared, by name.
func (s *Store) Endpoints(c *config.Config) map[string][]*config.Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]*config.Endpoint{}
	for name, b := range c.Backends {
		if b.Discovery == nil {
			continue
		}
		if src := s.sources[keyOf(b.Discovery)]; src != nil {
			out[name] = src.known()
		}
	}
	return out
}

// Serve says that a config is served: the sources of all others end.
func (s *Store) Serve(c *config.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = c
	named := map[string]bool{}
	for _, b := range c.Backends {
		if b.Discovery != nil {
			named[keyOf(b.Discovery)] = true
		}
	}
	for key, src := range s.sources {
		if !named[key] {
			src.end()
			delete(s.sources, key)
		} else {
			src.judgedBy(c)
		}
	}
	s.show()
}

// changed is called by a source when its endpoints are others, or its state is.
func (s *Store) changed(endpoints bool) {
	s.mu.Lock()
	s.show()
	s.mu.Unlock()
	if !endpoints {
		return
	}
	select {
	case s.moved <- struct{}{}:
	default: // it is known already
	}
}
