package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/gatewright/gatewright/config"
)

// source is somebody who knows the endpoints of a backend.
type source struct {
	key  string
	said *config.Discovery
	log  *slog.Logger
	kept kept
	// watch asks until the context ends, and calls answered and failed.
	watch   func(ctx context.Context, s *source)
	changed func(endpoints bool)
	ctx     context.Context
	end     context.CancelFunc
	// tried is closed when there is something to say: endpoints, or why there are none.
	tried chan struct{}
	once  sync.Once

	mu sync.Mutex // guards all below
	// config is the one that endpoints are judged by.
	config    *config.Config
	endpoints []*config.Endpoint
	// confirmed is when the source said so; zero: never in this process.
	confirmed time.Time
	// has tells that endpoints are known, if only from an earlier run.
	has bool
	// fault is why the newest word of the source is not what is served; nil: it is.
	fault error
}

func (s *Store) newSource(key string, d *config.Discovery, c *config.Config) *source {
	src := &source{
		key: key, said: d, config: c, kept: newKept(s.options.Folder, key), changed: s.changed, tried: make(chan struct{}),
		log: s.options.Log.With("source", nameOf(d)), watch: watchFile,
	}
	switch {
	case d.Consul != nil:
		src.watch = s.watchConsul
	case d.SRV != nil:
		src.watch = watchSRV
	}
	src.ctx, src.end = context.WithCancel(s.ctx)
	if endpoints, ok := src.kept.load(c); ok {
		src.endpoints, src.has = endpoints, true
		src.once.Do(func() { close(src.tried) })
	}
	return src
}

// nameOf is a source as it is shown.
func nameOf(d *config.Discovery) string {
	switch {
	case d.Consul != nil:
		return "consul:" + d.Consul.Service
	case d.SRV != nil:
		return "srv:" + d.SRV.Name
	}
	return "file:" + d.File
}

func (s *source) run(ctx context.Context) { s.watch(ctx, s) }

// judgedBy says by which config endpoints are judged from now on.
func (s *source) judgedBy(c *config.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = c
}

func (s *source) judge() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

func (s *source) known() []*config.Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endpoints
}

// errNoAnswer: nothing is known of a source, since it has not answered yet.
var errNoAnswer = errors.New("there is no answer yet")

// unknown is why nothing is known of the source, or nil.
func (s *source) unknown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has {
		return nil
	}
	if s.fault == nil {
		return fmt.Errorf("asking %s: %w", nameOf(s.said), errNoAnswer)
	}
	return s.fault
}

// answered takes what the source says. part is what of it could not be used, and is
// left out; nil where all could.
func (s *source) answered(endpoints []*config.Endpoint, part error) {
	// In an order that is always the same, so that another order is no change.
	slices.SortFunc(endpoints, func(a, b *config.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Priority, b.Priority))
	})
	s.mu.Lock()
	moved := !s.has || !reflect.DeepEqual(s.endpoints, endpoints) && len(s.endpoints)+len(endpoints) > 0
	recovered := s.fault != nil && part == nil
	told := s.tell(part)
	s.endpoints, s.has, s.confirmed = endpoints, true, time.Now()
	s.mu.Unlock()
	s.once.Do(func() { close(s.tried) })
	if moved {
		s.log.Info("endpoints served", "endpoints", len(endpoints))
		if err := s.kept.save(endpoints); err != nil {
			s.log.Warn("a start while the source is away would not find these endpoints (GATEWRIGHT_STATE_DIR)", "error", err)
		}
	} else if recovered {
		s.log.Info("the source is well again")
	}
	if moved || told || recovered {
		s.changed(moved)
	}
}

// failed notes that the source says nothing of use: what is known stays.
func (s *source) failed(err error) {
	s.mu.Lock()
	told := s.tell(err)
	s.mu.Unlock()
	s.once.Do(func() { close(s.tried) })
	if told {
		s.changed(false)
	}
}

// tell logs a fault once, and tells whether it is a new one. It is called with mu held.
func (s *source) tell(fault error) bool {
	same := fault == nil || s.fault != nil && s.fault.Error() == fault.Error()
	s.fault = fault
	if same {
		return false
	}
	s.log.Error("what the source says is not served; the endpoints before it are", "error", fault, "endpoints", len(s.endpoints))
	return true
}
