package test

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

const inFlight = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  gone: {endpoints: ["{{.gone}}"]}
auth:
` + jwtMain + `limits:
  two: {key: ["header:X-Run"], concurrency: {max: 2}}
  long: {key: ["header:X-Run"], concurrency: {max: 1, lease: 8s}}
  leased: {key: ["header:X-Run"], concurrency: {max: 1, lease: 2s}}
  hourly: {key: ["header:X-Run"], tokenBucket: {capacity: 100, refill: 1/h}}
routes:
  - {name: slow, match: {path: /slow}, auth: public, limits: [two, hourly], to: [{backend: app}], timeout: 30s}
  - {name: gone, match: {path: /gone}, auth: public, limits: [two], to: [{backend: gone}]}
  - {name: answer, match: {path: /answer}, auth: public, limits: [two], respond: {status: 200, body: "yes\n"}}
  - {name: cut, match: {path: /cut}, auth: public, limits: [two], to: [{backend: app}], timeout: 200ms}
  - {name: refused, match: {path: /refused}, auth: {anyOf: [{jwt: main}]}, limits: [two], to: [{backend: app}]}
  - {name: long, match: {path: /long}, auth: public, limits: [long], to: [{backend: app}], timeout: 90s}
  - {name: leased, match: {path: /leased}, auth: public, limits: [leased], to: [{backend: app}], timeout: 30s}
`

// hold sends a request that takes long, and returns when the backend has it: what
// has ended just before is released a little later. end makes its client go away,
// and done is when it has its answer.
func hold(t *testing.T, g *gateway, app service, path string, run header, delay time.Duration) (end context.CancelFunc, done chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	eventually(t, "a request is at the backend", func() error {
		before := app.Requests()
		done = make(chan error, 1)
		go func(done chan error) { done <- ask(ctx, g.url("public", fmt.Sprintf("%s?delay=%s", path, delay)), run) }(done)
		for {
			select {
			case err := <-done:
				return fmt.Errorf("it has ended: %w", err)
			default:
			}
			if app.Requests() > before {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
	})
	return cancel, done
}

// ask is a request whose client may go away, and why it has no good answer.
func ask(ctx context.Context, url string, h header) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set(h.name, h.value)
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// passes waits until a request of the run passes.
func passes(t *testing.T, g *gateway, path string, run header) {
	t.Helper()
	eventually(t, path+" passes for "+run.value, func() error {
		if r := get(t, g.url("public", path), run); r.Status != http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
}

// TestRequestsInFlight: as many as the limit says are at the backend at once, and
// whichever way one ends, the next passes; each gateway on one Redis hears of it.
func TestRequestsInFlight(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, app := idp(t), backend(t, "app")
			g := start(t, setup{config: inFlight, env: env(t), values: map[string]string{"issuer": p.Issuer(), "app": app.Addr(), "gone": testenv.Addr(t)}})
			run := header{"X-Run", "ends"}
			full := func() {
				t.Helper()
				eventually(t, "two are in flight", func() error {
					if r := get(t, g.url("public", "/answer"), run); r.Status != http.StatusTooManyRequests {
						return errStatus(r)
					}
					return nil
				})
				r := get(t, g.url("public", "/slow"), run)
				r.denied(t, 429, "rate-limited")
				if r.Header.Get("RateLimit-Limit") != "2" || r.Header.Get("Retry-After") != "1" {
					t.Errorf("headers %v", r.Header)
				}
			}
			// By its answer, and by a client that goes away.
			_, first := hold(t, g, app, "/slow", run, 2*time.Second)
			leave, second := hold(t, g, app, "/slow", run, time.Minute)
			full()
			if err := <-first; err != nil {
				t.Error(err)
			}
			passes(t, g, "/answer", run)
			_, third := hold(t, g, app, "/slow", run, 2*time.Second)
			full()
			leave()
			<-second
			passes(t, g, "/answer", run)
			<-third
			// By Envoy itself: a backend that is not there, one that is too slow, an answer
			// of the gateway's own; and by a credential that is refused.
			for range 5 {
				for path, status := range map[string]int{"/gone": 503, "/cut?delay=10s": 504, "/answer": 200, "/refused": 401} {
					run := header{"X-Run", path}
					eventually(t, path+" is not limited", func() error {
						if r := get(t, g.url("public", path), run); r.Status != status {
							return errStatus(r)
						}
						return nil
					})
				}
			}
			for _, line := range g.accessLog() {
				if _, there := line["in_flight"]; there {
					t.Errorf("the log has a handle: %v", line)
				}
			}
			eventually(t, "nothing is in flight", func() error {
				r := get(t, g.url("public", "/slow"), run)
				if left := r.Header.Get("RateLimit-Remaining"); r.Status != http.StatusOK || left != "1" {
					return fmt.Errorf("status %d, %q left", r.Status, left)
				}
				return nil
			})
		})
	}
}

// TestLostRequestsInFlight: of a gateway that is killed nobody tells which of its
// requests have ended. They count for their lease, and no longer.
func TestLostRequestsInFlight(t *testing.T) {
	t.Parallel()
	p, app := idp(t), backend(t, "app")
	redis := testenv.StartRedis(t)
	values := map[string]string{"issuer": p.Issuer(), "app": app.Addr(), "gone": testenv.Addr(t)}
	env := []string{"GATEWRIGHT_REDIS_URL=" + redis.URL()}
	one, other := start(t, setup{config: inFlight, env: env, values: values}), start(t, setup{config: inFlight, env: env, values: values})
	run := header{"X-Run", "lost"}
	began := time.Now()
	leave, first := hold(t, one, app, "/leased", run, time.Minute)
	eventually(t, "it is in flight, on both", func() error {
		if r := get(t, other.url("public", "/leased"), run); r.Status != http.StatusTooManyRequests {
			return errStatus(r)
		}
		return nil
	})
	one.kill()
	leave()
	<-first
	passes(t, other, "/leased", run)
	if waited := time.Since(began); waited < 2*time.Second {
		t.Errorf("it passed after %v, and the lease is 2s", waited)
	}
}

// TestEnvoyKilledWithRequestsInFlight: of an Envoy that is killed nobody tells which of
// its requests have ended, though their gateway lives. They count for their lease, also
// at the Envoy that is started in its place, and no longer.
func TestEnvoyKilledWithRequestsInFlight(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, app := idp(t), backend(t, "app")
			g := start(t, setup{config: inFlight, env: env(t), values: map[string]string{"issuer": p.Issuer(), "app": app.Addr(), "gone": testenv.Addr(t)}})
			run := header{"X-Run", "lost"}
			began := time.Now()
			_, first := hold(t, g, app, "/long", run, time.Minute)
			if err := syscall.Kill(g.envoyPIDs()[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := <-first; err == nil {
				t.Fatal("the request was answered though its Envoy was killed")
			}
			limited := 0
			eventually(t, "a request passes", func() error {
				r, err := try(http.MethodGet, g.url("public", "/long"), run)
				switch {
				case err != nil:
					return err // no Envoy yet
				case r.Status == http.StatusTooManyRequests:
					limited++
				}
				if r.Status != http.StatusOK {
					return errStatus(r)
				}
				return nil
			})
			if waited := time.Since(began); waited < 8*time.Second {
				t.Errorf("it passed after %v, and the lease is 8s", waited)
			}
			if limited == 0 {
				t.Error("no request was limited: the Envoy was not back within the lease")
			}
		})
	}
}
