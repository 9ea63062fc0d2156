package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// EnvoyModule is the path of Gatewright's dynamic module for Envoy: $GATEWRIGHT_ENVOY_MODULE,
// or what `make module` has built. Without one the test is skipped, or fails, as Envoy says.
func EnvoyModule(t testing.TB) string {
	t.Helper()
	path := os.Getenv("GATEWRIGHT_ENVOY_MODULE")
	if path == "" {
		path = filepath.Join(Root(t), "bin", "module", "release", "libgatewright.so")
	}
	if _, err := os.Stat(path); err != nil {
		missing(t, "no dynamic module found: run `make module`, or `make test`: "+err.Error())
	}
	return path
}
