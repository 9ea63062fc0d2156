package test

import (
	"regexp"
	"strings"
	"testing"
)

// TestCallsHaveTheirConnections: an Envoy of ours makes the calls that requests
// wait for, of both services, and sends its access logs on connections that carry
// nothing else, which is what makes them cheap; config goes over one more.
func TestCallsHaveTheirConnections(t *testing.T) {
	onEachStore(t, func(t *testing.T, g *gateway, token func(string) header) {
		for range 10 {
			for _, listener := range []string{"public", "filtered"} {
				get(t, g.url(listener, "/fleet"))
			}
		}
		g.hasMetric(`gatewright_requests_total{backend="app",code="200",route="fleet"} 20`)
		for line, what := range map[string]string{
			`carries="calls"\} ([2-9]|\d{2,})`: "Check and ShouldRateLimit, and for access logs",
			`carries="all"\} 1`:                "config alone",
		} {
			if !regexp.MustCompile(`(?m)^gatewright_grpc_connections\{` + line + `$`).MatchString(g.metrics()) {
				t.Errorf("no connection for %s:\n%s", what, only(g.metrics(), "gatewright_grpc_connections"))
			}
		}
		if log := g.stderr.String(); strings.Contains(log, "calls of all kinds") {
			t.Errorf("they are mixed:\n%s", log)
		}
	})
}
