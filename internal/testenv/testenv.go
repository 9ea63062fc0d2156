// Package testenv finds and starts what tests need beyond Go: a real Envoy, a real Redis,
// a real PostgreSQL, an nginx, free ports, the root of the repository.
package testenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatewright/gatewright/envoy"
)

// Envoy returns the path of an Envoy, as `gatewright run` would find it.
// Without one the test is skipped; under `make test`, which installs one, and
// in CI, it fails.
func Envoy(t testing.TB) string {
	t.Helper()
	path, err := envoy.Find(os.Getenv("GATEWRIGHT_ENVOY"), Root(t))
	if err != nil {
		missing(t, err.Error())
	}
	return path
}

func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" || os.Getenv("TESTENV_REQUIRE") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Root returns the folder of go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = parent
	}
}
