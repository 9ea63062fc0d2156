package explain

import (
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

// TestBreakersAreTold: what stands before each backend that a request may go to, by
// the name that the command line knows it by, and what requests get while it is open.
func TestBreakersAreTold(t *testing.T) {
	t.Parallel()
	factor := 3.0
	for name, c := range map[string]struct {
		breaker config.Breaker
		want    []string
	}{
		"defaults": {config.Breaker{}, []string{
			"breaker app: opens for 30s when more than 50 % of at least 20 requests in 10s have failed\n",
			"while it is open: answer 503 circuit-open: with Retry-After\n",
		}},
		"all": {config.Breaker{
			Per: config.PerRoute, Probes: 3, OpenFor: config.Duration(time.Second), Ramp: config.Duration(time.Minute), Backoff: &config.BreakerBackoff{Factor: &factor},
			Fallback: &config.BreakerFallback{Respond: &config.Respond{Status: 200, Body: "[]"}},
		}, []string{
			"breaker split/app: opens for 1s when", "failed, for longer while probes fail, up to 10s; 3 probes in a row close it; in the 1m after that it lets a growing share pass\n",
			"while it is open: answer 200, 2 bytes; calls of gRPC get UNAVAILABLE\n",
		}},
		"another backend": {config.Breaker{Fallback: &config.BreakerFallback{Backend: "next"}}, []string{"while it is open: requests go to next\n"}},
		"in shadow":       {config.Breaker{Mode: config.ModeShadow}, []string{"while it is open: requests pass: it is in shadow\n"}},
	} {
		w := newWorld(t)
		w.Config.Backends["app"].Breaker = &c.breaker
		r := w.ask(t, "/split")
		if len(r.Then.Backends) != 2 || r.Then.Backends[1].Breaker != nil {
			t.Errorf("%s: %+v", name, r.Then.Backends)
		}
		var text strings.Builder
		if err := r.Write(&text); err != nil {
			t.Fatal(err)
		}
		for _, part := range c.want {
			if !strings.Contains(text.String(), part) {
				t.Errorf("%s: no %q in\n%s", name, part, text.String())
			}
		}
	}
}
