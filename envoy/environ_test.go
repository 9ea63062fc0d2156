package envoy

import (
	"slices"
	"testing"
)

func TestEnvoyInheritsNoSecret(t *testing.T) {
	got := environ([]string{"PATH=/bin", "GATEWRIGHT_KEY_SECRET=x", "PGPASSWORD=x", "TOKEN_SECRET=x", "INTROSPECT_SECRET=x", "AWS_SECRET_ACCESS_KEY=x", "HOME=/", "LC_ALL=C", "PATHS=x"})
	if want := []string{"PATH=/bin", "HOME=/", "LC_ALL=C"}; !slices.Equal(got, want) {
		t.Errorf("an Envoy inherits %q, want %q", got, want)
	}
	if got := environ([]string{"GATEWRIGHT_X="}); got == nil {
		t.Error("nil means all of ours to os/exec")
	}
}
