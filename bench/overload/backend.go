package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"time"
)

// What the backend can do: so many requests at once, each of which takes this long.
const (
	slots    = 10
	takes    = 200 * time.Millisecond
	capacity = float64(slots) * float64(time.Second) / float64(takes) // a second
)

// startBackend serves as many requests at once as it has slots, and has the others wait,
// for as long as their clients do: most servers have a queue that nobody bounds.
func startBackend() *httptest.Server {
	free := make(chan struct{}, slots)
	return httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case free <- struct{}{}:
		case <-r.Context().Done():
			return
		}
		// Work that has begun is done, whether somebody still waits for it or not.
		work, done := context.WithTimeout(context.WithoutCancel(r.Context()), takes)
		defer done()
		<-work.Done()
		<-free
	}))
}
