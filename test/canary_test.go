package test

import (
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

const canary = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  v1: {endpoints: ["{{.v1}}"]}
  v2: {endpoints: ["{{.v2}}"]}
limits:
  plenty: {key: [clientIP], tokenBucket: {capacity: 1000000, refill: 1000000/s}}
routes:
  - name: users
    match: {path: /users/**}
    auth: public
    limits: [plenty]
    to: [{backend: v1, weight: 95}, {backend: v2, weight: 5}]
    pin: {header: X-Canary, values: {always: v2, never: v1}}
`

func startCanary(t *testing.T) (g *gateway, v1, v2 service) {
	t.Helper()
	v1, v2 = backend(t, "v1"), backend(t, "v2")
	return start(t, setup{config: canary, values: map[string]string{"v1": v1.Addr(), "v2": v2.Addr()}}), v1, v2
}

// TestCanaryGetsItsShare: of 10 000 requests, 5 % within four standard
// deviations of the binomial distribution: a chance of 1 in 16 000 to be wrong.
func TestCanaryGetsItsShare(t *testing.T) {
	t.Parallel()
	g, v1, v2 := startCanary(t)
	const n, share = 4_000, 0.05
	hammer(t, n, func() (reply, error) { return try(http.MethodGet, g.url("public", "/users/1")) })
	got, sigma := float64(v2.Requests()), math.Sqrt(n*share*(1-share))
	if v1.Requests()+v2.Requests() != n || math.Abs(got-n*share) > 5*sigma {
		t.Errorf("%d to v1, %d to v2; want %d in all, and %.0f ± %.0f to v2", v1.Requests(), v2.Requests(), n, n*share, 5*sigma)
	}
}

// TestCanaryPin: a header chooses the side; another value leaves it to chance.
func TestCanaryPin(t *testing.T) {
	t.Parallel()
	g, v1, v2 := startCanary(t)
	url := g.url("public", "/users/1")
	hammer(t, 200, func() (reply, error) { return try(http.MethodGet, url, header{"X-Canary", "always"}) })
	if v1.Requests() != 0 || v2.Requests() != 200 {
		t.Errorf("always: %d to v1, %d to v2", v1.Requests(), v2.Requests())
	}
	hammer(t, 200, func() (reply, error) { return try(http.MethodGet, url, header{"X-Canary", "never"}) })
	if v1.Requests() != 200 || v2.Requests() != 200 {
		t.Errorf("never: %d to v1, %d to v2", v1.Requests(), v2.Requests()-200)
	}
	if e := get(t, url, header{"X-Canary", "whatever"}).ok(t).echo(t); e.Backend != "v1" && e.Backend != "v2" {
		t.Errorf("another value: %s", e.Backend)
	}
}

// hammer sends n requests, eight at a time. Each must be a 200.
func hammer(t *testing.T, n int64, send func() (reply, error)) {
	t.Helper()
	var left atomic.Int64
	left.Store(n)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if r, err := send(); err != nil || r.Status != http.StatusOK {
					t.Errorf("status %d, error %v: %s", r.Status, err, r.Body)
					return
				}
			}
		})
	}
	wg.Wait()
}
