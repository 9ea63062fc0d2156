package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestMetricsTellWhatHappened: requests and latency by route and backend, and
// verdicts by reason.
func TestMetricsTellWhatHappened(t *testing.T) {
	t.Parallel()
	g, p, _ := startTokens(t)
	for range 3 {
		get(t, g.url("public", "/users/1"), bearer(token(t, p, "scope=users:read"))).ok(t)
	}
	get(t, g.url("public", "/users/1")).denied(t, 401, "credential-missing")
	get(t, g.url("public", "/nowhere"))
	want := []string{
		`gatewright_requests_total{backend="users",code="200",route="users"} 3`,
		`gatewright_requests_total{backend="",code="401",route="users"} 1`,
		`gatewright_requests_total{backend="",code="404",route="gatewright.not-found"} 1`,
		`gatewright_request_duration_seconds_count{backend="users",route="users"} 3`,
		`gatewright_verdicts_total{reason="allowed",route="users",verdict="allowed"} 3`,
		`gatewright_verdicts_total{reason="credential-missing",route="users",verdict="denied"} 1`,
		`gatewright_xds_connected_envoys 1`,
		`gatewright_config_last_reload_successful 1`,
	}
	eventually(t, "the metrics tell it", func() error {
		m := g.metrics()
		for _, line := range want {
			if !strings.Contains(m, "\n"+line+"\n") {
				return fmt.Errorf("not there: %s\n%s", line, only(m, "gatewright_"))
			}
		}
		return nil
	})
}

// only are the lines that begin like that.
func only(text, prefix string) string {
	var out []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) && !strings.Contains(line, "_bucket") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}
