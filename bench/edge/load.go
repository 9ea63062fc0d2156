package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// loaded is what a load has come to.
type loaded struct {
	took      time.Duration
	latencies []time.Duration
}

// load asks on so many connections, of which each makes a request as soon as it has
// its last answer, as long as more says so. The first answer that is wrong ends it.
func load(ctx context.Context, clients []*client, next func() request, more func(asked int64) bool) (loaded, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var asked atomic.Int64
	times := make([][]time.Duration, len(clients))
	var asking sync.WaitGroup
	began := time.Now()
	for i, c := range clients {
		asking.Go(func() {
			for ctx.Err() == nil && more(asked.Add(1)) {
				at := time.Now()
				if err := c.ask(next()); err != nil {
					stop(err)
					return
				}
				times[i] = append(times[i], time.Since(at))
			}
		})
	}
	asking.Wait()
	l := loaded{took: time.Since(began)}
	for _, t := range times {
		l.latencies = append(l.latencies, t...)
	}
	if err := context.Cause(ctx); err != nil {
		return l, fmt.Errorf("after %d requests: %w", len(l.latencies), err)
	}
	if len(l.latencies) == 0 {
		return l, errors.New("nothing was asked")
	}
	return l, nil
}
