package test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

const ownProtections = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  runs: {endpoints: ["{{.good}}", "{{.bad}}"], outlierDetection: {consecutive5xx: 3, baseEjectionTime: 300s}}
  gateway: {endpoints: ["{{.good}}", "{{.bad}}"], outlierDetection: {consecutive5xx: 1000000, consecutiveGatewayErrors: 3, baseEjectionTime: 300s}}
  local: {endpoints: ["{{.good}}", "{{.gone}}"], outlierDetection: {consecutive5xx: 1000000, consecutiveLocalErrors: 3, baseEjectionTime: 300s}}
  share: {endpoints: ["{{.good}}", "{{.bad}}"], outlierDetection: {consecutive5xx: 1000000, interval: 200ms, failurePercentage: {threshold: 50, minEndpoints: 2, minRequests: 5}, baseEjectionTime: 300s}}
  rate: {endpoints: ["{{.good}}", "{{.bad}}"], outlierDetection: {consecutive5xx: 1000000, interval: 200ms, successRate: {deviations: 0.5, minEndpoints: 2, minRequests: 5}, baseEjectionTime: 300s}}
  others: {endpoints: ["{{.good}}", "{{.worse}}"], outlierDetection: {consecutive5xx: 1000000, consecutiveGatewayErrors: 3, consecutiveLocalErrors: 3, baseEjectionTime: 300s}}
  strict: {endpoints: ["{{.bad}}"], healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1}, panicThreshold: 0}
  usual: {endpoints: ["{{.bad}}"], healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1}}
  early: {endpoints: ["{{.good}}", "{{.bad}}"], healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1}, panicThreshold: 60}
  late: {endpoints: ["{{.good}}", "{{.bad}}"], healthCheck: {path: /healthz, interval: 100ms, timeout: 5s, unhealthyAfter: 1}}
routes:
`

// TestEndpointsAreEjected: by each rule that a config can say, and by no other; one of
// two may always be.
func TestEndpointsAreEjected(t *testing.T) {
	t.Parallel()
	g, bad := startProtected(t)
	for name, status := range map[string]int{"runs": 500, "gateway": 503, "local": 0, "share": 500, "rate": 500} {
		t.Run(name, func(t *testing.T) {
			bad.SetStatus(status)
			eventually(t, "only the good endpoint is used", func() error { return all(g, "/"+name, 30, http.StatusOK) })
		})
	}
	bad.SetStatus(0)
	t.Run("what no rule names", func(t *testing.T) {
		// The worse endpoint answers everything with 500, which is neither an error of a
		// gateway nor one on the way.
		failed := 0
		for range 60 {
			if r := get(t, g.url("public", "/others")); r.Status != http.StatusOK {
				failed++
			}
		}
		if failed < 20 {
			t.Errorf("of 60 requests %d failed: the endpoint was ejected", failed)
		}
	})
}

// startProtected is a gateway before a good, a sick, a failing and a missing endpoint.
func startProtected(t *testing.T) (*gateway, service) {
	t.Helper()
	good, bad, worse := backend(t, "good"), backend(t, "bad"), backend(t, "worse")
	worse.SetStatus(http.StatusInternalServerError)
	bad.SetHealthy(false)
	names := []string{"runs", "gateway", "local", "share", "rate", "others", "strict", "usual", "early", "late"}
	config := ownProtections
	for _, name := range names {
		config += fmt.Sprintf("  - {name: %s, match: {path: /%s}, auth: public, to: [{backend: %s}]}\n", name, name, name)
	}
	return start(t, setup{config: config, values: map[string]string{
		"good": good.Addr(), "bad": bad.Addr(), "worse": worse.Addr(), "gone": testenv.Addr(t),
	}}), bad
}

// all sends requests, each of which must have that status.
func all(g *gateway, path string, n, status int) error {
	for range n {
		r, err := try(http.MethodGet, g.url("public", path))
		if err == nil && r.Status != status {
			err = errStatus(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestPanicThreshold: where too few endpoints are healthy all are used, and where
// that is never so, none.
func TestPanicThreshold(t *testing.T) {
	t.Parallel()
	g, bad := startProtected(t)
	eventually(t, "nobody is asked who is not healthy", func() error { return all(g, "/strict", 1, http.StatusServiceUnavailable) })
	get(t, g.url("public", "/strict")).denied(t, 503, "backend-unavailable")
	eventually(t, "all of none are asked", func() error { return all(g, "/usual", 10, http.StatusOK) })
	// One of two is 50 %: below 60, and not below 50.
	bad.SetStatus(http.StatusTeapot)
	eventually(t, "the healthy half is used", func() error { return all(g, "/late", 30, http.StatusOK) })
	eventually(t, "both halves are used", func() error {
		if err := all(g, "/early", 10, http.StatusOK); err != nil {
			return nil
		}
		return errors.New("only the healthy one")
	})
}

const adaptive = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  narrow:
    endpoints: ["{{.narrow}}"]
    {{.how}}
  wide: {endpoints: ["{{.wide}}"]}
auth:
  apiKey: {keys: {}}
routes:
  - {name: narrow, match: {path: /narrow}, auth: public, to: [{backend: narrow}]}
  - {name: wide, match: {path: /wide}, auth: public, to: [{backend: wide}]}
  - {name: split, match: {path: /split}, auth: public, to: [{backend: wide, weight: 1}, {backend: narrow, weight: 1}]}
  - {name: keyed, match: {path: /keyed}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: narrow}]}
`

// crowded is a backend that takes longer the more it has to do at once, beyond four.
type crowded struct {
	at, most atomic.Int64
}

func (c *crowded) ServeHTTP(http.ResponseWriter, *http.Request) {
	n := c.at.Add(1)
	defer c.at.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	time.Sleep(20 * time.Millisecond * time.Duration(max(n/4, 1)))
}

// TestAdaptiveConcurrency: a backend that becomes slower under load has as many
// requests at once as it serves well, on each way that leads to it; the others are told
// so at once, and another backend has no such bound. Taking it away takes it away.
func TestAdaptiveConcurrency(t *testing.T) {
	t.Parallel()
	const clients = 40
	narrow, wide := &crowded{}, &crowded{}
	values := map[string]string{"how": "adaptiveConcurrency: {min: 2, measureRequests: 20, measureEvery: 600s}"}
	for name, h := range map[string]http.Handler{"narrow": narrow, "wide": wide} {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		values[name] = strings.TrimPrefix(s.URL, "http://")
	}
	g := start(t, setup{config: adaptive, values: values})
	crowd := func(path string, each int) (refused int64) {
		var group sync.WaitGroup
		var n atomic.Int64
		for range clients {
			group.Go(func() {
				for range each {
					r, err := try(http.MethodGet, g.url("public", path))
					switch {
					case err != nil:
						t.Error(err)
					case r.Status != http.StatusOK:
						r.denied(t, 503, "backend-overloaded")
						n.Add(1)
						time.Sleep(10 * time.Millisecond) // a client that is told so does not ask again at once
					}
				}
			})
		}
		group.Wait()
		return n.Load()
	}
	// What is denied before is none of the backend's, and no time of its.
	if err := all(g, "/keyed", 30, http.StatusUnauthorized); err != nil {
		t.Error(err)
	}
	if refused := crowd("/narrow", 40); refused == 0 {
		t.Error("no request was refused")
	}
	narrow.most.Store(0)
	if refused := crowd("/split", 20); refused == 0 {
		t.Error("no request was refused of the side that is narrow")
	}
	if most := narrow.most.Load(); most >= clients { // the bound follows the times, which a busy machine moves
		t.Errorf("%d requests at once were at the backend, of %d clients", most, clients)
	}
	if refused := crowd("/wide", 5); refused != 0 {
		t.Errorf("%d requests to another backend were refused", refused)
	}
	g.values["how"] = ""
	g.write(adaptive)
	eventually(t, "the bound is gone", func() error {
		if refused := crowd("/narrow", 2) + crowd("/split", 2); refused > 0 {
			return fmt.Errorf("%d were refused", refused)
		}
		return nil
	})
}
