package test

import (
	"errors"
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
			eventually(t, "there are connections for "+what, func() error {
				if m := g.metrics(); !regexp.MustCompile(`(?m)^gatewright_grpc_connections\{` + line + `$`).MatchString(m) {
					return errors.New(only(m, "gatewright_grpc_connections"))
				}
				return nil
			})
		}
		if log := g.stderr.String(); strings.Contains(log, "calls of all kinds") {
			t.Errorf("they are mixed:\n%s", log)
		}
	})
}
