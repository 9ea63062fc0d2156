package envoy_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gatewright/gatewright/envoy"
	"github.com/gatewright/gatewright/internal/testenv"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestBootstrapGolden compares bootstraps with testdata, and has a real Envoy judge
// them.
func TestBootstrapGolden(t *testing.T) {
	binary := testenv.Envoy(t)
	for name, overload := range map[string]envoy.Overload{
		"bootstrap": {}, "overload": {MaxConnections: 1000, MaxHeap: 512 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := envoy.BootstrapYAML(envoy.BootstrapOptions{
				NodeID: "edge", ControlCluster: "gatewright", CallCluster: "gatewright-calls", EnvoysCluster: "gatewright-envoys", ControlAddr: "127.0.0.1:9001", Admin: "127.0.0.1:0", Overload: overload,
			})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("differs from %s (go test ./envoy -update writes it anew):\n%s", file, got)
			}
			if out, err := exec.Command(binary, "--mode", "validate", "-c", file, "--log-level", "error").CombinedOutput(); err != nil {
				t.Errorf("Envoy refuses it: %v\n%s", err, out)
			}
		})
	}
}
