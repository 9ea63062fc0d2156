package envoy

import (
	"slices"
	"testing"
)

func TestEnvoyInheritsNoSecret(t *testing.T) {
	got := environ([]string{"PATH=/bin", "GATEWRIGHT_KEY_SECRET=x", "GATEWRIGHT_DATABASE_URL=x", "PGPASSWORD=x", "PGHOST=db", "HOME=/"})
	if want := []string{"PATH=/bin", "PGHOST=db", "HOME=/"}; !slices.Equal(got, want) {
		t.Errorf("an Envoy inherits %q, want %q", got, want)
	}
	if got := environ([]string{"GATEWRIGHT_X="}); got == nil {
		t.Error("nil means all of ours to os/exec")
	}
}
