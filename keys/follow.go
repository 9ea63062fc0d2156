package keys

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// loadGap is the least time from one read of keys to the next. A key alone
	// is read at once; under a flood of new ones it makes 200 reads a second.
	loadGap = 5 * time.Millisecond
	// loadBatch is how many keys are read at once.
	loadBatch = 256
	// changesBatch is how many changes are read at once.
	changesBatch = 512
)

// Run serves the Cache until ctx ends, and then returns nil. All that is read
// of the database is read here, one after the other. So what is read after the
// feed cannot be older than it, and each later change is met in the feed.
func (c *Cache) Run(ctx context.Context) error {
	defer c.waiting.close()
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() { c.runUses(ctx) })
	var news, announced <-chan struct{} // of changes; announced is nil while it is not listened to
	if c.shared != nil {
		news = c.shared.news
		writing.Go(func() { c.shared.listen(ctx, c.shared.heard) })
	}
	announced = news
	c.sync(ctx)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	wake := c.waiting.wake
	var rested, quiet <-chan time.Time // set while wake, or announced, is not listened to
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			c.sync(ctx)
		case <-announced:
			c.sync(ctx)
			announced, quiet = nil, time.After(newsGap)
		case <-quiet:
			announced, quiet = news, nil
		case <-wake:
			c.load(ctx)
			wake, rested = nil, time.After(loadGap)
		case <-rested:
			wake, rested = c.waiting.wake, nil
		}
	}
}

// sync applies all new changes, and notes whether that could be done.
func (c *Cache) sync(ctx context.Context) {
	began := c.now()
	if err := c.follow(ctx); err != nil {
		c.failed(ctx, err)
		return
	}
	c.recovered(ctx, began)
	c.identify(ctx)
}

// follow reads the feed to its end.
func (c *Cache) follow(ctx context.Context) error {
	end, err := c.newest(ctx)
	if err != nil {
		return err
	}
	c.imported.Store(end.imported)
	if c.health.Load().synced.IsZero() || end.seq < c.cursor {
		// The first read begins at the end, with nothing remembered. A feed
		// that went backwards is another database's, or an older copy.
		c.forget()
		return c.begin(ctx, end)
	}
	for c.cursor < end.seq {
		changes, err := c.changes(ctx)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return fmt.Errorf("the feed of changes ends at %d, before its newest, %d", c.cursor, end.seq)
		}
		for _, change := range changes {
			c.apply(change)
		}
	}
	return nil
}

// apply brings what is remembered of an id to its new state. What is not
// remembered is left to be read when a request asks.
func (c *Cache) apply(change change) {
	c.unknown.remove(change.id)
	if change.record == nil {
		c.known.remove(change.id)
	} else {
		c.known.replace(change.id, change.record)
	}
	c.cursor = change.seq
	if c.shared != nil {
		c.shared.recent.note(change.id, change.seq)
	}
}

func (c *Cache) forget() {
	c.known.clear()
	c.unknown.clear()
	c.distrust()
}

// load reads the keys that requests wait for.
func (c *Cache) load(ctx context.Context) {
	if err := c.health.Load().err; err != nil {
		c.waiting.fail(err)
		return
	}
	calls := c.waiting.take(loadBatch)
	if len(calls) == 0 {
		return // they were told that the database had failed
	}
	if calls = c.loadShared(ctx, calls); len(calls) == 0 {
		return
	}
	asOf := c.cursor
	answers, err := c.lookUp(ctx, calls)
	if err != nil {
		finishAll(calls, err)
		c.failed(ctx, err)
		return
	}
	for _, call := range calls {
		answer := answers[call.id]
		answer.from = layerDatabase
		c.remember(call.id, answer)
		call.finish(answer)
	}
	c.shared.write(ctx, answers, asOf, c.now())
}

func idsOf(calls []*call) []string {
	ids := make([]string, len(calls))
	for i, call := range calls {
		ids[i] = call.id
	}
	return ids
}

func (c *Cache) remember(id string, answer found) {
	now := c.now()
	switch {
	case answer.err != nil:
		c.known.remove(id)
	case answer.record == nil:
		c.known.remove(id)
		c.unknown.put(id, nil, now)
	default:
		c.unknown.remove(id)
		c.known.put(id, answer.record, now)
	}
}

// failed notes that a read failed, and logs the first of a row. Those who wait
// are told at once.
func (c *Cache) failed(ctx context.Context, err error) {
	c.waiting.fail(err)
	if ctx.Err() != nil {
		return // the gateway stops; the database is not to blame
	}
	c.distrust()
	before := c.health.Load()
	c.health.Store(&health{synced: before.synced, err: err})
	if before.err == nil {
		c.log.ErrorContext(ctx, "key database does not answer; known keys go on for the stale time",
			slog.Any("error", err), slog.Duration("stale_for", c.staleFor))
	}
}

// recovered notes that the feed was read to what it held at began.
func (c *Cache) recovered(ctx context.Context, began time.Time) {
	before := c.health.Load()
	c.health.Store(&health{synced: began})
	if before.err != nil {
		c.log.InfoContext(ctx, "key database answers again")
	}
}

func (c *Cache) newest(ctx context.Context) (newest, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	end, err := c.source.newestChange(ctx)
	c.metrics.read(err)
	return end, err
}

func (c *Cache) changes(ctx context.Context) ([]change, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	changes, err := c.source.changesAfter(ctx, c.cursor, changesBatch)
	c.metrics.read(err)
	return changes, err
}

func (c *Cache) lookUp(ctx context.Context, calls []*call) (map[string]found, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	answers, err := c.source.lookUp(ctx, idsOf(calls))
	c.metrics.read(err)
	return answers, err
}
