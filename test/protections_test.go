package test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

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
