package keys

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// usesEvery is the time between writes of when keys were last used.
	usesEvery = time.Minute
	// usesBatch is how many keys one write names.
	usesBatch = 1000
	// usesTimeout bounds one write, and so how long the last holds up the end.
	usesTimeout = 5 * time.Second
)

// uses remembers when each key was last used, until that is written. A request
// sets a number in memory; a crash loses what was not written.
type uses struct {
	max int

	mu   sync.RWMutex // guards last, not the numbers in it
	last map[string]*atomic.Int64
}

func newUses(max int) *uses { return &uses{max: max, last: map[string]*atomic.Int64{}} }

// note remembers that a key was used. Beyond max keys in a minute it remembers
// no more, as the memory is bounded and a time of use decides nothing.
func (u *uses) note(id string, now time.Time) {
	u.mu.RLock()
	last, there := u.last[id]
	u.mu.RUnlock()
	if there {
		last.Store(now.UnixMilli())
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, there = u.last[id]; !there {
		if len(u.last) >= u.max {
			return
		}
		last = &atomic.Int64{}
		u.last[id] = last
	}
	last.Store(now.UnixMilli())
}

// take returns all that is remembered, and forgets it.
func (u *uses) take() map[string]time.Time {
	u.mu.Lock()
	last := u.last
	u.last = make(map[string]*atomic.Int64, len(last))
	u.mu.Unlock()
	taken := make(map[string]time.Time, len(last))
	for id, at := range last {
		taken[id] = time.UnixMilli(at.Load())
	}
	return taken
}

// giveBack remembers what could not be written, unless a later use is known.
func (u *uses) giveBack(unwritten map[string]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, at := range unwritten {
		if _, there := u.last[id]; !there && len(u.last) < u.max {
			u.last[id] = &atomic.Int64{}
			u.last[id].Store(at.UnixMilli())
		}
	}
}

// runUses writes the uses of keys until ctx ends, and then once more.
func (c *Cache) runUses(ctx context.Context) {
	ticker := time.NewTicker(usesEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			c.writeUses(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
			c.writeUses(ctx)
		}
	}
}

// writeUses writes what is remembered. While the database is known not to
// answer it leaves that for the next time.
func (c *Cache) writeUses(ctx context.Context) {
	if c.health.Load().err != nil {
		return
	}
	taken := c.uses.take()
	ids := slices.Sorted(maps.Keys(taken)) // in one order, so that instances do not wait for each other in a circle
	ctx, cancel := context.WithTimeout(ctx, usesTimeout)
	defer cancel()
	for batch := range slices.Chunk(ids, usesBatch) {
		written := make(map[string]time.Time, len(batch))
		for _, id := range batch {
			written[id] = taken[id]
		}
		if err := c.source.writeUses(ctx, written); err != nil {
			c.uses.giveBack(taken)
			c.log.WarnContext(ctx, "when keys were last used could not be written; it is tried again in a minute", slog.Any("error", err))
			return
		}
		for _, id := range batch {
			delete(taken, id)
		}
	}
}

// writeUses writes when keys were last used; an earlier time than the one that
// is there changes nothing. It is no change of a key: no feed, no audit.
func (s *Store) writeUses(ctx context.Context, uses map[string]time.Time) error {
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("writing uses: %w", err)
	}
	times := make(map[string]int64, len(uses))
	for id, at := range uses {
		times[id] = at.UnixMilli()
	}
	list, err := json.Marshal(times) // sorted by id
	if err != nil {
		return fmt.Errorf("writing uses: %w", err)
	}
	// A key that was deleted meanwhile is left out.
	statement := `INSERT INTO key_uses (id, used_at)
		SELECT id, used_at FROM (` + s.dialect.uses + `) AS used WHERE id IN (SELECT id FROM keys) ORDER BY id
		ON CONFLICT (id) DO UPDATE SET used_at = ` + s.dialect.later + `(key_uses.used_at, excluded.used_at)`
	if _, err := s.db.ExecContext(ctx, statement, string(list)); err != nil {
		return fmt.Errorf("writing uses: %w", err)
	}
	return nil
}
