package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// tenantSource is what Customers follow: a Store.
type tenantSource interface {
	newestTenantChange(ctx context.Context) (int64, error)
	tenantChangesAfter(ctx context.Context, seq int64, limit int) ([]tenantChange, error)
}

// Customers are the records of all tenants, in memory, while Run keeps them
// current: a change made by any process counts here within 250 ms and the time of
// one read of the database. So no request waits for them.
//
// While the database does not answer, the records that are known stay in force.
// A gateway that has started without it knows none: every tenant has the limits
// that everybody has, until it answers.
type Customers struct {
	source tenantSource
	now    func() time.Time
	log    *slog.Logger
	synced atomic.Int64 // when the database was last read, Unix nanoseconds

	mu    sync.RWMutex // guards known; the records themselves never change
	known map[string]*Tenant

	// Only Start and Run touch the rest.
	cursor int64 // the number of the last change applied
	failed bool
}

// NewCustomers follows the tenants of a Store. Its metrics are registered with r,
// which may be nil.
func NewCustomers(s *Store, log *slog.Logger, r prometheus.Registerer) (*Customers, error) {
	c := newCustomers(s, time.Now, log)
	if r == nil {
		return c, nil
	}
	for _, gauge := range []prometheus.GaugeFunc{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatewright_tenants",
			Help: "Tenants that have a record.",
		}, func() float64 { return float64(c.len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatewright_tenants_read_timestamp_seconds",
			Help: "When the records of tenants were last read from the database; 0 is never.",
		}, func() float64 { return float64(c.synced.Load()) / 1e9 }),
	} {
		if err := r.Register(gauge); err != nil {
			return nil, fmt.Errorf("registering the metrics of tenants: %w", err)
		}
	}
	return c, nil
}

func newCustomers(source tenantSource, now func() time.Time, log *slog.Logger) *Customers {
	return &Customers{source: source, now: now, log: log, known: map[string]*Tenant{}}
}

// Find returns the record of a tenant, which is not to be changed; nil where there
// is none.
func (c *Customers) Find(name string) *Tenant {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.known[name]
}

// Resizes tells whether some tenant has numbers of its own for a limit.
func (c *Customers) Resizes(limit string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, t := range c.known {
		if _, ok := t.Limits[limit]; ok {
			return true
		}
	}
	return false
}

func (c *Customers) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.known)
}

// Start reads the records, before the first request is judged.
func (c *Customers) Start(ctx context.Context) { c.sync(ctx) }

// Run keeps the records current until ctx ends, and then returns nil.
func (c *Customers) Run(ctx context.Context) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
			c.sync(ctx)
		}
	}
}

// sync applies all new changes, and notes whether that could be done.
func (c *Customers) sync(ctx context.Context) {
	err := c.follow(ctx)
	switch {
	case errors.Is(err, context.Canceled):
		return // stopping
	case err != nil:
		if !c.failed {
			c.failed = true
			c.log.WarnContext(ctx, "the records of tenants cannot be read: those that are known stay in force", "known", c.len(), "error", err)
		}
		return
	}
	if c.failed {
		c.failed = false
		c.log.InfoContext(ctx, "the records of tenants are read again")
	}
	c.synced.Store(c.now().UnixNano())
}

// follow reads the feed to its end.
func (c *Customers) follow(ctx context.Context) error {
	newest, err := bounded(ctx, c.source.newestTenantChange)
	if err != nil {
		return err
	}
	if newest < c.cursor {
		return c.readAnew(ctx)
	}
	for c.cursor < newest {
		changes, err := c.changes(ctx, c.cursor)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.cursor = applyTo(c.known, changes)
		c.mu.Unlock()
	}
	return nil
}

// readAnew reads all records in the place of those known: a feed that went
// backwards is another database's, or an older copy.
func (c *Customers) readAnew(ctx context.Context) error {
	known, cursor := map[string]*Tenant{}, int64(0)
	for {
		changes, err := c.changes(ctx, cursor)
		switch {
		case errors.Is(err, errFeedEnds):
			c.mu.Lock()
			defer c.mu.Unlock()
			c.known, c.cursor = known, cursor
			return nil
		case err != nil:
			return err
		}
		cursor = applyTo(known, changes)
	}
}

// errFeedEnds says that there are no more changes.
var errFeedEnds = errors.New("the feed of tenants ends before its newest change")

// changes are the next ones after a number, at least one.
func (c *Customers) changes(ctx context.Context, after int64) ([]tenantChange, error) {
	changes, err := bounded(ctx, func(ctx context.Context) ([]tenantChange, error) {
		return c.source.tenantChangesAfter(ctx, after, changesBatch)
	})
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return nil, errFeedEnds
	}
	for _, change := range changes {
		if change.err != nil {
			c.log.ErrorContext(ctx, "the record of a tenant makes no sense and counts as none; set it anew, or remove it", "error", change.err)
		}
	}
	return changes, nil
}

// applyTo brings records to the state after changes, and returns the number of the
// last.
func applyTo(known map[string]*Tenant, changes []tenantChange) (cursor int64) {
	for _, change := range changes {
		if change.tenant == nil || change.err != nil {
			delete(known, change.name)
		} else {
			known[change.name] = change.tenant
		}
		cursor = change.seq
	}
	return cursor
}

// bounded is a read of the database that takes no longer than is stated.
func bounded[V any](ctx context.Context, read func(context.Context) (V, error)) (V, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return read(ctx)
}
