package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// patience is how long a client waits. What comes later is of no use to it.
const patience = time.Second

// answered is how the requests of a load have ended.
type answered struct {
	good, denied, late int
	times              []time.Duration // of the good ones
}

// load asks at a rate for a while, whatever comes of it: those who ask do not know of each
// other. It returns when the last answer has come, or will not come any more.
func load(ctx context.Context, client *http.Client, url string, perSecond float64, lasts time.Duration) answered {
	var mu sync.Mutex // guards all
	var all answered
	var asking sync.WaitGroup
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for sent := 0; time.Since(began) < lasts && ctx.Err() == nil; <-tick.C {
		for ; float64(sent) < perSecond*time.Since(began).Seconds(); sent++ {
			asking.Go(func() {
				at := time.Now()
				status := ask(ctx, client, url)
				took := time.Since(at)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case status == http.StatusOK:
					all.good++
					all.times = append(all.times, took)
				case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
					all.denied++
				default:
					all.late++
				}
			})
		}
	}
	asking.Wait()
	return all
}

// ask is the status of an answer that comes in time, or 0.
func ask(ctx context.Context, client *http.Client, url string) int {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}
