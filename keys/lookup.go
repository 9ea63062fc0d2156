package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/span"
)

// The times of a Cache. Together they keep the promise of the package comment:
// pollEvery + readTimeout < freshFor.
const (
	// pollEvery is the time between reads of the feed of changes.
	pollEvery = 250 * time.Millisecond
	// readTimeout bounds each read of the database.
	readTimeout = time.Second
	// freshFor is how long after a read of the feed its news are taken for current.
	freshFor = 1500 * time.Millisecond
	// waitTimeout bounds how long Find waits, whatever its context allows.
	waitTimeout = 2 * time.Second
)

// unknownEntries is how many ids that no key has a Cache remembers. They are
// kept apart, so that a flood of made-up keys pushes out no real one.
const unknownEntries = 16384

// ErrUnavailable says that a key cannot be judged, because the database does
// not answer. Whoever showed the key was neither admitted nor denied.
var ErrUnavailable = errors.New("the key database does not answer")

// source is what a Cache reads: a Store.
type source interface {
	lookUp(ctx context.Context, ids []string) (map[string]found, error)
	newestChange(ctx context.Context) (newest, error)
	changesAfter(ctx context.Context, seq int64, limit int) ([]change, error)
	latestChanges(ctx context.Context, limit int) ([]change, error)
	identity(ctx context.Context) (string, error)
	writeUses(ctx context.Context, uses map[string]time.Time) error
	ring() *ring
}

// Cache judges the keys that requests show, from what it remembers of the
// database, while Run keeps that current. It remembers records by their id, not
// texts: every request's secret is compared with the hash of the record, so
// wrong secrets under a known id cost no read, and nothing in memory is a key.
type Cache struct {
	source   source
	staleFor time.Duration
	now      func() time.Time
	log      *slog.Logger
	metrics  metrics

	known   *table // ids that have a record
	unknown *table // ids that have none
	waiting *waiting
	health  atomic.Pointer[health]
	// imported says that a text which is not one of ours may be a key.
	imported atomic.Bool
	uses     *uses
	// shared is the layer between memory and the database, nil where there is none.
	shared *shared

	// cursor is the number of the last change applied. Only Run touches it.
	cursor int64
}

// health is how well the memory of a Cache follows the database.
type health struct {
	// synced is when the feed was last read to its end, zero before the first time.
	synced time.Time
	// err is why the last read of the database failed, nil when it did not.
	err error
}

// NewCache returns a Cache of store, which Run must serve. It shares what it reads
// with other instances where the store was opened with a Redis. Its metrics go to
// registry; the error is that of registering them.
func NewCache(store *Store, settings Settings, now func() time.Time, log *slog.Logger, registry prometheus.Registerer) (*Cache, error) {
	c := newCache(store, settings, now, log)
	if store.redis != nil {
		c.shared = newShared(store.redis, log)
	}
	if err := errors.Join(c.metrics.register(registry), c.shared.register(registry)); err != nil {
		return nil, fmt.Errorf("registering the metrics of the key cache: %w", err)
	}
	return c, nil
}

func newCache(source source, settings Settings, now func() time.Time, log *slog.Logger) *Cache {
	entries := settings.CacheEntries
	if entries < 1 {
		entries = DefaultCacheEntries
	}
	c := &Cache{
		source:   source,
		staleFor: settings.StaleFor,
		now:      now,
		log:      log,
		known:    newTable(entries),
		unknown:  newTable(min(entries, unknownEntries)),
		waiting:  newWaiting(),
		uses:     newUses(entries),
	}
	c.health.Store(&health{})
	c.metrics = newMetrics(c.size, func() time.Time { return c.health.Load().synced })
	return c
}

// Find judges the text that a request shows as its key. A denial is a Found;
// an error wraps ErrUnavailable and says that nobody can tell now.
func (c *Cache) Find(ctx context.Context, text string) (Found, error) {
	answer, err := c.find(ctx, text)
	c.metrics.count(answer, err)
	return answer, err
}

func (c *Cache) find(ctx context.Context, text string) (Found, error) {
	now := c.now()
	parsed, ok := Parse(text)
	if !ok {
		return c.findImported(ctx, text, now)
	}
	record, err := c.record(ctx, parsed.ID, now)
	if err != nil {
		return Found{}, fmt.Errorf("looking up key %s: %w", parsed.ID, err)
	}
	return c.verdict(record, digestOf(text), now), nil
}

// findImported judges a text that is not one of ours. It costs nothing but its
// length unless keys were imported.
func (c *Cache) findImported(ctx context.Context, text string, now time.Time) (Found, error) {
	if importedTextFault(text) != nil {
		return Found{State: Malformed}, nil
	}
	if age := now.Sub(c.health.Load().synced); !c.imported.Load() && age <= freshFor {
		return Found{State: Malformed}, nil
	}
	shown := digestOf(text)
	for _, secret := range c.source.ring().secrets {
		id := secret.importedID(shown)
		record, err := c.record(ctx, id, now)
		if err != nil {
			return Found{}, fmt.Errorf("looking up imported key %s: %w", id, err)
		}
		if found := c.verdict(record, shown, now); found.State != Unknown {
			return found, nil
		}
	}
	return Found{State: Unknown}, nil
}

// nobodys is the record of no key. No text is its.
var nobodys Record

// verdict judges what a request shows by what is stored under its id.
func (c *Cache) verdict(record *Record, shown digest, now time.Time) Found {
	if record == nil {
		record = &nobodys
	}
	state := record.stateOf(shown, c.source.ring(), now)
	switch state {
	case Unknown:
		return Found{State: Unknown}
	case Valid:
		c.uses.note(record.ID, now)
	}
	return Found{State: state, Record: *record}
}

// record returns what is stored under id, nil where nothing is: from memory
// while that is current, else from Redis or the database, else from memory
// within the stale time.
func (c *Cache) record(ctx context.Context, id string, now time.Time) (*Record, error) {
	// In this order, what is remembered is at least as new as its age says.
	age := now.Sub(c.health.Load().synced)
	remembered, hit := c.remembered(id, now)
	if hit && age <= freshFor {
		c.metrics.found(layerMemory)
		return remembered, nil
	}
	answer, err := c.fetch(ctx, id)
	if err != nil && hit && age <= freshFor+c.staleFor {
		c.metrics.found(layerMemory)
		return remembered, nil
	}
	c.metrics.found(answer.from)
	return answer.record, err
}

func (c *Cache) remembered(id string, now time.Time) (record *Record, hit bool) {
	if record, hit := c.known.get(id, now); hit {
		return record, true
	}
	return c.unknown.get(id, now)
}

// fetch has Run read id. While the database is known not to answer, it does not
// wait to be told so again: the next read of the feed is the one that probes.
func (c *Cache) fetch(ctx context.Context, id string) (_ found, err error) {
	if err := c.health.Load().err; err != nil {
		return found{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	// What is remembered is the id alone: as a part of the text that was shown it
	// would keep that, which is a key, in memory.
	call, err := c.waiting.join(strings.Clone(id))
	if err != nil {
		return found{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	inline.Blocks(ctx)
	waiting := span.Begin(ctx, span.KeyStore)
	defer func() { waiting.End(err != nil) }()
	timeout := time.NewTimer(waitTimeout)
	defer timeout.Stop()
	select {
	case <-call.done:
	case <-ctx.Done():
		return found{}, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	case <-timeout.C:
		return found{}, fmt.Errorf("%w: no answer in %s", ErrUnavailable, waitTimeout)
	}
	if call.err != nil {
		return found{}, fmt.Errorf("%w: %w", ErrUnavailable, call.err)
	}
	return call.found, nil
}

// size returns how many entries are remembered.
func (c *Cache) size() int { return c.known.len() + c.unknown.len() }
