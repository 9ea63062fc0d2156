package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestServedCertificatesMayGoBad: of a file that is in use as it was, a config
// says nothing, whatever has become of it; of any other it does.
func TestServedCertificatesMayGoBad(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"edge.crt", "edge.key", "partners-ca.crt"} {
		content, err := os.ReadFile(filepath.Join("testdata/certs", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = `
listeners: [{name: secure, address: 0.0.0.0:8443, tls: {certificates: [{cert: edge.crt, key: edge.key}], clientCA: partners-ca.crt}}]
routes: [{name: r, match: {path: /}, auth: public, respond: {status: 200}}]
`
	parse := func(served ...string) error {
		_, err := ParseBeside(folder, "f.yaml", []byte(text), Beside{Served: func(path string) bool {
			return slices.Contains(served, filepath.Base(path))
		}})
		return err
	}
	if err := parse(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"edge.key", "partners-ca.crt"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("half a f"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := parse("edge.crt", "edge.key", "partners-ca.crt"); err != nil {
		t.Errorf("all files are served: %v", err)
	}
	if parse("edge.crt", "partners-ca.crt") == nil {
		t.Error("a pair whose key was never served is taken")
	}
	if parse("edge.crt", "edge.key") == nil {
		t.Error("authorities that were never served are taken")
	}
}
