package engine

import (
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

const (
	// registryAddress is where a registry is, for these tests alone and in memory: the
	// address of this side of the engine's first network, as that of modules.
	registryAddress = "172.17.0.1:5000"
	// registryOnLoopback is the same one, where an engine takes one without TLS.
	registryOnLoopback = "127.0.0.1:5000"
)

// startRegistry starts the registry. It ends with this process.
func startRegistry(t *testing.T) {
	t.Helper()
	server := &http.Server{Addr: ":5000", Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	go func() { _ = server.ListenAndServe() }() // who pushes says where there is none
}

// publish puts an image of the engine into the registry, as the one that Docker's own
// registry has by that name.
func publish(t *testing.T, image, path string) {
	t.Helper()
	run(t, "tag", image, registryOnLoopback+"/"+path)
	run(t, "push", "--quiet", registryOnLoopback+"/"+path)
}

// newClient is a folder for Docker's client in which it makes builders that take our
// registry for Docker's own, and speak to it without TLS. All else is as in client.
func newClient(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Symlink(filepath.Join(client, "cli-plugins"), filepath.Join(dir, "cli-plugins")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "buildx"), 0o755); err != nil {
		t.Fatal(err)
	}
	const settings = `[registry."docker.io"]
  mirrors = ["` + registryAddress + `"]
[registry."` + registryAddress + `"]
  http = true
`
	if err := os.WriteFile(filepath.Join(dir, "buildx", "buildkitd.default.toml"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
