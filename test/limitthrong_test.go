package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// throng is requests of some users, at several gateways at the same time, and what
// became of them.
type throng struct {
	t        *testing.T
	gateways []*gateway
	began    time.Time
	stop     chan struct{}
	workers  sync.WaitGroup

	mu       sync.Mutex // guards all below
	sent     int
	admitted map[string]int // by user, by path, and by both
	strange  map[string]int // what was neither 200 nor 429
}

// startThrong has a few workers for each gateway ask for these paths, as one user after
// the other, until end.
func startThrong(t *testing.T, gateways []*gateway, users []user, paths ...string) *throng {
	l := &throng{t: t, gateways: gateways, began: time.Now(), stop: make(chan struct{}), admitted: map[string]int{}, strange: map[string]int{}}
	const workers = 3
	for i, g := range gateways {
		for w := range workers {
			l.workers.Go(func() {
				for n := i + w; ; n++ {
					select {
					case <-l.stop:
						return
					case <-time.After(2 * time.Millisecond): // both cores are Redis' too
					}
					l.ask(g, users[n%len(users)], paths[n/len(users)%len(paths)])
				}
			})
		}
	}
	t.Cleanup(func() { l.end() })
	return l
}

// user is a caller, with a token.
type user struct {
	name  string
	token header
}

func (l *throng) ask(g *gateway, u user, path string) {
	r, err := try(http.MethodGet, g.url("public", path), u.token)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	switch {
	case err != nil:
		l.strange[err.Error()]++
	case r.Status == http.StatusOK:
		l.admitted[u.name]++
		l.admitted[path]++
		l.admitted[u.name+path]++
	case r.Status != http.StatusTooManyRequests:
		l.strange[fmt.Sprintf("%d: %s", r.Status, r.Body)]++
	}
}

// more waits until so many more requests were answered.
func (l *throng) more(n int) {
	l.t.Helper()
	sent := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.sent
	}
	from := sent()
	eventually(l.t, "requests are answered", func() error {
		if now := sent(); now < from+n {
			return fmt.Errorf("%d of %d", now-from, n)
		}
		return nil
	})
}

// end stops the throng, and says how long it took. Each answer must have been 200 or
// 429. A second call does nothing.
func (l *throng) end() time.Duration {
	l.t.Helper()
	select {
	case <-l.stop:
		return 0
	default:
	}
	close(l.stop)
	l.workers.Wait()
	took := time.Since(l.began)
	for what, n := range l.strange {
		l.t.Errorf("%d of %d requests were neither admitted nor limited: %s", n, l.sent, what)
	}
	return took
}

// metric waits until a metric of each gateway has a value that is wanted.
func (l *throng) metric(name string, wanted func(value string) bool) {
	l.t.Helper()
	for _, g := range l.gateways {
		eventually(l.t, name+" is as it should be", func() error {
			_, rest, _ := strings.Cut(g.metrics(), "\n"+name+" ")
			if value, _, _ := strings.Cut(rest, "\n"); !wanted(value) {
				return fmt.Errorf("it is %q", value)
			}
			return nil
		})
	}
}

func is(want string) func(string) bool { return func(value string) bool { return value == want } }

func not(unwanted string) func(string) bool {
	return func(value string) bool { return value != "" && value != unwanted }
}
