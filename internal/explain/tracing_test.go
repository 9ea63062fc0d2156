package explain

import (
	"slices"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// TestTracingHeadersAreTakenAway, and it is said.
func TestTracingHeadersAreTakenAway(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ask(t, "/users/7", [2]string{"TraceParent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, [2]string{"X-Other", "a"})
	if want := []string{"the header TraceParent is taken away: each trace begins at the gateway"}; !slices.Equal(r.Notes, want) {
		t.Errorf("it says %q, want %q", r.Notes, want)
	}
}

// TestWithoutTracesTheirHeadersAreTakenAway all the same.
func TestWithoutTracesTheirHeadersAreTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := *w.Options.Config
	c.Tracing = &config.Tracing{Off: true}
	w.Options.Config = &c
	r := w.ask(t, "/users/7", [2]string{"B3", "1"})
	if want := []string{"the header B3 is taken away: requests are a part of no trace"}; !slices.Equal(r.Notes, want) {
		t.Errorf("it says %q, want %q", r.Notes, want)
	}
}

// TestTrustedTracingHeadersGoOn, and it is said of whom.
func TestTrustedTracingHeadersGoOn(t *testing.T) {
	t.Parallel()
	parent := [2]string{"TraceParent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	other := [2]string{"B3", "1"}
	w := newWorld(t)
	for trust, want := range map[config.TraceTrust][]string{
		config.TrustEverybody: {"the header B3 is taken away: each trace begins at the gateway"},
		config.TrustProxies: {
			"the header TraceParent is taken away but from proxies that trustedHops or trustedProxies says",
			"the header B3 is taken away: each trace begins at the gateway",
		},
	} {
		c := *w.Options.Config
		c.Tracing = &config.Tracing{Trust: trust}
		c.TrustedHops = 1
		w := w
		w.Options.Config = &c
		if r := w.ask(t, "/users/7", parent, other); !slices.Equal(r.Notes, want) {
			t.Errorf("trusting %s it says %q, want %q", trust, r.Notes, want)
		}
	}
}
