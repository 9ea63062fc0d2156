package test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const storm = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: app, match: {path: /app}, auth: public, to: [{backend: app}], retry: {attempts: 3, on: [5xx], perTryTimeout: 2s}}
`

// TestRetryStorm: a backend that fails everything, at once or after a while, gets no
// more than 1.2 times what clients ask for, and ten requests a second; and one that
// fails now and then is still asked again.
func TestRetryStorm(t *testing.T) {
	t.Parallel()
	const lasts = 4 * time.Second
	for name, c := range map[string]struct {
		perSecond int
		takes     time.Duration
	}{
		"few, failing at once":        {20, 0},
		"many, failing at once":       {300, 0},
		"many, failing after a while": {150, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var arrived atomic.Int64
			var well atomic.Bool
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n := arrived.Add(1)
				if well.Load() && n%10 != 0 {
					return
				}
				time.Sleep(c.takes)
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			t.Cleanup(s.Close)
			g := start(t, setup{config: storm, values: map[string]string{"app": strings.TrimPrefix(s.URL, "http://")}})

			began := time.Now()
			offered := float64(g.offer("/app", c.perSecond, lasts, func(r reply, err error) {
				if err != nil || r.Status != http.StatusServiceUnavailable {
					t.Errorf("status %d, %v", r.Status, err)
				}
			}))
			got, bound := float64(arrived.Load()), 1.2*offered+10*time.Since(began).Seconds()
			t.Logf("%.0f requests were %.0f at the backend, at most %.0f", offered, got, bound)
			if got > bound {
				t.Errorf("%.0f requests were %.0f at the backend, want at most %.0f", offered, got, bound)
			}
			if got == offered {
				t.Error("nothing was asked again")
			}

			well.Store(true)
			var failed atomic.Int64
			before := arrived.Load()
			offered = float64(g.offer("/app", c.perSecond, lasts/4, func(r reply, _ error) {
				if r.Status != http.StatusOK {
					failed.Add(1)
				}
			}))
			if again := arrived.Load() - before - int64(offered); again == 0 || float64(failed.Load()) > 0.09*offered {
				t.Errorf("of %.0f requests, a tenth of which fails at first, %d failed, %d were asked again", offered, failed.Load(), again)
			}
		})
	}
}

// offer sends requests at a rate, whatever becomes of them, and returns how many
// when all are answered.
func (g *gateway) offer(path string, perSecond int, lasts time.Duration, answered func(reply, error)) (sent int) {
	g.t.Helper()
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	url := g.url("public", path)
	for began := time.Now(); time.Since(began) < lasts; sent++ {
		<-tick.C
		all.Go(func() { answered(try(http.MethodGet, url)) })
	}
	return sent
}
