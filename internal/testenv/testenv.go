// Package testenv finds what tests need beyond Go: a real Envoy, a real Redis,
// free ports, the root of the repository.
package testenv

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
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

// nextPort is the next port that Addr tries. It begins at a place that differs
// from one test process to the next, below the ports that the kernel gives to
// outgoing connections: one of those could take a port between the moment it is
// found free and the moment it is listened on.
var nextPort = func() *atomic.Int32 {
	var n atomic.Int32
	n.Store(int32(10_000 + os.Getpid()%70*300))
	return &n
}()

// Addr returns a loopback address that nobody listens on, for a process that
// has to be told its port. Each call returns another.
func Addr(t testing.TB) string {
	t.Helper()
	for range 2000 {
		addr := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return addr
	}
	t.Fatal("no free port")
	return ""
}
