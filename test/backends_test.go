package test

import (
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const backends = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  pair:
    endpoints: ["{{.good}}", "{{.bad}}"]
    outlierDetection: {consecutive5xx: 3, baseEjectionTime: 300s, maxEjectionPercent: 50}
  checked:
    endpoints: ["{{.good}}", "{{.bad}}"]
    healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1, healthyAfter: 1}
  retried: {endpoints: ["{{.good}}", "{{.bad}}"]}
  narrow: {endpoints: ["{{.good}}"], connections: {maxRequests: 1, maxPending: 1}}
  gone: {endpoints: ["{{.gone}}"]}
  named: {endpoints: ["localhost:{{.goodPort}}"]}
  h2c: {endpoints: ["{{.good}}"], protocol: http2}
routes:
  - {name: pair, match: {path: /pair}, auth: public, to: [{backend: pair}]}
  - {name: checked, match: {path: /checked}, auth: public, to: [{backend: checked}]}
  - {name: retried, match: {path: /retried}, auth: public, to: [{backend: retried}], retry: {attempts: 2, on: [5xx]}}
  - {name: narrow, match: {path: /narrow}, auth: public, to: [{backend: narrow}]}
  - {name: gone, match: {path: /gone}, auth: public, to: [{backend: gone}]}
  - {name: slow, match: {path: /slow}, auth: public, to: [{backend: retried}], timeout: 200ms}
  - {name: named, match: {path: /named}, auth: public, to: [{backend: named}]}
  - {name: h2c, match: {path: /h2c}, auth: public, to: [{backend: h2c}]}
  - name: dressed
    match: {path: /dressed}
    auth: public
    to: [{backend: named}]
    request: {set: {X-Via: "100% gateway"}, remove: [X-Debug]}
    response: {set: {X-Frame-Options: DENY}, remove: [X-Backend]}
`

// TestBackends tells, on one gateway, what becomes of backends that fail.
func TestBackends(t *testing.T) {
	t.Parallel()
	good, bad := backend(t, "good"), backend(t, "bad")
	bad.SetStatus(http.StatusServiceUnavailable)
	bad.SetHealthy(false)
	_, goodPort, err := net.SplitHostPort(good.Addr())
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, setup{config: backends, values: map[string]string{
		"good": good.Addr(), "bad": bad.Addr(), "gone": testenv.Addr(t), "goodPort": goodPort,
	}})

	t.Run("an endpoint that fails three times is ejected", func(t *testing.T) {
		failed := 0
		eventually(t, "it is ejected", func() error {
			for range 10 {
				if r := get(t, g.url("public", "/pair")); r.Status != http.StatusOK {
					failed++
					return errStatus(r)
				}
			}
			return nil
		})
		if failed < 3 {
			t.Errorf("ejected after %d failures, want 3", failed)
		}
		for range 30 {
			get(t, g.url("public", "/pair")).ok(t)
		}
	})
	t.Run("an endpoint that fails its health check gets nothing", func(t *testing.T) {
		eventually(t, "only the healthy one is used", func() error {
			for range 10 {
				if r := get(t, g.url("public", "/checked")); r.Status != http.StatusOK {
					return errStatus(r)
				}
			}
			return nil
		})
	})
	t.Run("a retry goes to another endpoint", func(t *testing.T) {
		for range 20 {
			get(t, g.url("public", "/retried")).ok(t)
		}
	})
	t.Run("a backend that is full is a 503 that says so", func(t *testing.T) {
		var wg sync.WaitGroup
		replies := make([]reply, 12)
		for i := range replies {
			wg.Go(func() {
				replies[i], _ = try(http.MethodGet, g.url("public", "/narrow?delay=500ms"))
			})
		}
		wg.Wait()
		passed, full := 0, 0
		for _, r := range replies {
			switch r.Status {
			case http.StatusOK:
				passed++
			default:
				r.denied(t, 503, "backend-overloaded")
				full++
			}
		}
		if passed == 0 || full == 0 {
			t.Errorf("%d passed, %d were refused; want some of each", passed, full)
		}
	})
	t.Run("a backend that is not there", func(t *testing.T) {
		get(t, g.url("public", "/gone")).denied(t, 503, "backend-failed")
	})
	t.Run("a backend that is too slow", func(t *testing.T) {
		get(t, g.url("public", "/slow?delay=20s")).denied(t, 504, "backend-timeout")
	})
	t.Run("a backend by its host name", func(t *testing.T) {
		get(t, g.url("public", "/named")).ok(t)
	})
	t.Run("a backend that speaks HTTP/2", func(t *testing.T) {
		get(t, g.url("public", "/h2c")).ok(t)
	})
	t.Run("headers are changed on the way", func(t *testing.T) {
		r := get(t, g.url("public", "/dressed"), header{"X-Debug", "1"}).ok(t)
		e := r.echo(t)
		if e.header("X-Via") != "100% gateway" || e.header("X-Debug") != "" {
			t.Errorf("the backend sees X-Via %q, X-Debug %q", e.header("X-Via"), e.header("X-Debug"))
		}
		if r.Header.Get("X-Frame-Options") != "DENY" || r.Header.Get("X-Backend") != "" {
			t.Errorf("the client sees %v", r.Header)
		}
	})
}
