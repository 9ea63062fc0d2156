package test

import (
	"regexp"
	"strings"
	"testing"
)

// TestCallsHaveTheirConnections: an Envoy of ours makes the calls that requests
// wait for, of both services, on connections that carry nothing else, which is
// what makes them cheap; config and access logs go over others.
func TestCallsHaveTheirConnections(t *testing.T) {
	onEachStore(t, func(t *testing.T, g *gateway, token func(string) header) {
		for range 10 {
			for _, listener := range []string{"public", "filtered"} {
				get(t, g.url(listener, "/fleet"))
			}
		}
		g.hasMetric(`gatewright_requests_total{backend="app",code="200",route="fleet"} 20`)
		for carries, what := range map[string]string{"calls": "Check and ShouldRateLimit", "all": "config and access logs"} {
			if line := regexp.MustCompile(`gatewright_grpc_connections\{carries="` + carries + `"\} [1-9]`); !line.MatchString(g.metrics()) {
				t.Errorf("no connection for %s:\n%s", what, only(g.metrics(), "gatewright_grpc_connections"))
			}
		}
		if log := g.stderr.String(); strings.Contains(log, "calls of all kinds") {
			t.Errorf("they are mixed:\n%s", log)
		}
	})
}
