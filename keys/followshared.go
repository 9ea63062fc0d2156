package keys

import (
	"context"
	"time"
)

// What Run does for the layer in Redis.

// begin takes the feed up at its end.
func (c *Cache) begin(ctx context.Context, end newest) error {
	if c.shared == nil {
		c.cursor = end.seq
		return nil
	}
	latest, err := c.latest(ctx)
	if err != nil {
		return err
	}
	c.shared.recent.reset(latest, len(latest) < c.shared.recent.max)
	c.cursor = end.seq
	if len(latest) > 0 {
		// All is forgotten, so what came after end need not be applied.
		c.cursor = latest[len(latest)-1].seq
	}
	return nil
}

// identify finds out which database the values in Redis must be of, whenever it
// may have become another one.
func (c *Cache) identify(ctx context.Context) {
	s := c.shared
	if s == nil || s.seal != nil || !s.identifying.over(time.Now()) {
		return
	}
	identity, err := c.identity(ctx)
	if err != nil {
		s.noteFailure(ctx, &s.identifying, "keys are not shared in Redis, as the database does not say which one it is", err)
		return
	}
	if s.database != "" && s.database != identity {
		// A replica that was promoted may lack changes that are known here, and
		// have given their numbers to others.
		c.forget()
		if err := c.begin(ctx, newest{}); err != nil {
			c.failed(ctx, err)
			return
		}
	}
	s.noteSuccess(ctx, &s.identifying, "keys are shared in Redis again")
	s.database, s.seal = identity, newSeal(c.source.ring(), identity)
}

// distrust stops the use of Redis until it is known whether this still is the
// same database.
func (c *Cache) distrust() {
	if c.shared != nil {
		c.shared.seal = nil
	}
}

// loadShared answers those calls that Redis can, and returns the others. What is
// current by the changes that are known is as good as the changes are: where
// they are old news, the database is asked.
func (c *Cache) loadShared(ctx context.Context, calls []*call) (others []*call) {
	now := c.now()
	if c.shared == nil || now.Sub(c.health.Load().synced) > freshFor {
		return calls
	}
	answers := c.shared.read(ctx, idsOf(calls), now)
	for _, call := range calls {
		answer, ok := answers[call.id]
		if !ok {
			others = append(others, call)
			continue
		}
		c.remember(call.id, answer)
		call.finish(answer)
	}
	return others
}

func (c *Cache) identity(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	identity, err := c.source.identity(ctx)
	c.metrics.read(err)
	return identity, err
}

func (c *Cache) latest(ctx context.Context) ([]change, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	latest, err := c.source.latestChanges(ctx, c.shared.recent.max)
	c.metrics.read(err)
	return latest, err
}
