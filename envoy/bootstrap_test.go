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
				NodeID: "edge", ControlCluster: "gatewright", CallCluster: "gatewright-calls", ControlAddr: control, Admin: "127.0.0.1:0",
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
			NodeID: "n", ControlCluster: "gatewright", CallCluster: "gatewright-calls", ControlAddr: addr, Admin: "127.0.0.1:0",
		}); err == nil {
			t.Errorf("address %q was accepted", addr)
		}
	}
}

// TestEnvoyAcceptsTheBootstrapWithTLS, with every kind of server name, and
// with certificates in one folder and in several.
func TestEnvoyAcceptsTheBootstrapWithTLS(t *testing.T) {
	binary := testenv.Envoy(t)
	for name, c := range map[string]struct {
		control, serverName string
		folders             [3]string // of certificate, key and CA
	}{
		"a host":          {"gatewright.internal:9001", "", [3]string{"tls", "tls", "tls"}},
		"an address":      {"127.0.0.1:9001", "", [3]string{"tls", "tls", "tls"}},
		"an IPv6 address": {"[::1]:9001", "", [3]string{"tls", "tls", "tls"}},
		"another name":    {"127.0.0.1:9001", "gatewright.internal", [3]string{"tls", "tls", "trust"}},
		"a SPIFFE ID":     {"127.0.0.1:9001", "spiffe://example.org/gatewright", [3]string{"tls", "tls", "tls"}},
		"a folder each":   {"127.0.0.1:9001", "", [3]string{"tls", "keys", "trust"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, f := range c.folders {
				if err := os.MkdirAll(filepath.Join(dir, f), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			tls := envoy.ControlTLS{
				Cert: filepath.Join(dir, c.folders[0], "tls.crt"), Key: filepath.Join(dir, c.folders[1], "tls.key"),
				CA: filepath.Join(dir, c.folders[2], "ca.crt"), ServerName: c.serverName, Folder: dir,
			}
			ca := testenv.NewCA(t)
			ca.IssueFiles(testenv.Leaf{}, tls.Cert, tls.Key)
			files, err := envoy.ControlSecrets(tls, "gatewright", "gatewright-calls")
			if err != nil {
				t.Fatal(err)
			}
			if files["envoy.yaml"], err = envoy.BootstrapYAML(envoy.BootstrapOptions{
				NodeID: "edge", ControlCluster: "gatewright", CallCluster: "gatewright-calls", ControlAddr: c.control, ControlTLS: tls, Admin: "127.0.0.1:0",
			}); err != nil {
				t.Fatal(err)
			}
			for name, content := range files {
				testenv.ReplaceFile(t, filepath.Join(dir, name), content)
			}
			testenv.ReplaceFile(t, tls.CA, ca.PEM)
			file := filepath.Join(dir, "envoy.yaml")
			if out, err := exec.Command(binary, "--mode", "validate", "-c", file, "--log-level", "error").CombinedOutput(); err != nil {
				t.Errorf("%v\n%s\n%s", err, out, files["envoy.yaml"])
			}
		})
	}
}

func TestBootstrapRefusesHalfOfTLS(t *testing.T) {
	whole := envoy.ControlTLS{Cert: "/c", Key: "/k", CA: "/a", Folder: "/f"}
	noKey := whole
	noKey.Key = ""
	for control, tls := range map[string]envoy.ControlTLS{"127.0.0.1:9001": noKey, "unix:/run/gatewright.sock": whole} {
		if _, err := envoy.Bootstrap(envoy.BootstrapOptions{
			NodeID: "n", ControlCluster: "gatewright", CallCluster: "gatewright-calls", ControlAddr: control, ControlTLS: tls, Admin: "127.0.0.1:0",
		}); err == nil {
			t.Errorf("%s with %+v was accepted", control, tls)
		}
	}
}
