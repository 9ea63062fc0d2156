package envoy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gatewright/gatewright/envoy"
	"github.com/gatewright/gatewright/internal/testenv"
)

// TestEnvoyAcceptsTheBootstrap has a real Envoy judge every form of address.
func TestEnvoyAcceptsTheBootstrap(t *testing.T) {
	binary := testenv.Envoy(t)
	for _, control := range []string{"127.0.0.1:9001", "[::1]:9001", "unix:/run/gatewright.sock", "gatewright.internal:9001"} {
		t.Run(control, func(t *testing.T) {
			t.Parallel()
			yaml, err := envoy.BootstrapYAML(envoy.BootstrapOptions{
				NodeID: "edge", ControlCluster: "gatewright", ControlAddr: control, Admin: "127.0.0.1:0",
			})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "bootstrap.yaml")
			if err := os.WriteFile(file, yaml, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(binary, "--mode", "validate", "-c", file, "--log-level", "error").CombinedOutput(); err != nil {
				t.Errorf("%v\n%s\n%s", err, out, yaml)
			}
		})
	}
}

func TestBootstrapRefusesBadAddresses(t *testing.T) {
	for _, addr := range []string{"", "9001", "host:", "host:99999", "host:x"} {
		if _, err := envoy.Bootstrap(envoy.BootstrapOptions{
			NodeID: "n", ControlCluster: "gatewright", ControlAddr: addr, Admin: "127.0.0.1:0",
		}); err == nil {
			t.Errorf("address %q was accepted", addr)
		}
	}
}
