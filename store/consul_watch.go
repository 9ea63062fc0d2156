package store

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// watch asks again and again what the key is once it is not what it was: a
// blocking query. The rules are those of Consul's documentation of them: an
// index that goes back starts anew from 0, an index is at least 1, and a query
// that returns too early too often is slowed down.
func (c *consul) watch(ctx context.Context, f *follower) error {
	var index uint64
	for ctx.Err() == nil {
		began := time.Now()
		next, ok := c.look(ctx, f, index)
		switch {
		case !ok:
			f.pause.wait(ctx)
			// Whatever the outage was, what is there now is asked for at once.
			index = 0
			continue
		case next < index:
			f.log.Info("Consul's index went back: what it has now is read anew", "config", f.name, "index", next, "seen", index)
			index = 0
		default:
			index = max(next, 1)
		}
		if early := c.gap - time.Since(began); early > 0 {
			sleep(ctx, early)
		}
	}
	return ctx.Err()
}

// look makes one blocking query, or, for index 0, one that does not block, and
// returns the index of the answer. It is not ok where Consul did not answer.
func (c *consul) look(ctx context.Context, f *follower, index uint64) (next uint64, ok bool) {
	limit := readTime
	query := url.Values{}
	if index > 0 {
		query.Set("index", strconv.FormatUint(index, 10))
		query.Set("wait", strconv.FormatInt(c.wait.Milliseconds(), 10)+"ms")
		limit += c.wait + c.wait/16 // Consul adds up to a sixteenth
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pairs, next, err := c.client.get(limited, string(c.keys), query)
	var h head
	if err == nil {
		// Its own limit: the query may have used up that one.
		reading, done := context.WithTimeout(ctx, readTime)
		defer done()
		h, err = c.headOf(reading, pairs)
	}
	if ctx.Err() != nil {
		return 0, false
	}
	f.read(h, err)
	return next, err == nil
}
