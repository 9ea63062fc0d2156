package explain

import (
	"slices"
	"testing"
)

// TestTracingHeadersAreTakenAway, and it is said.
func TestTracingHeadersAreTakenAway(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ask(t, "/users/7", [2]string{"TraceParent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, [2]string{"X-Other", "a"})
	if want := []string{"the header TraceParent is taken away: each trace begins at the gateway"}; !slices.Equal(r.Notes, want) {
		t.Errorf("it says %q, want %q", r.Notes, want)
	}
}
