package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bootstrap runs the command.
func bootstrap(args ...string) (string, error) {
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(append([]string{"bootstrap"}, args...))
	err := root.Execute()
	return out.String(), err
}

func TestBootstrapSaysWhatLacks(t *testing.T) {
	for want, args := range map[string][]string{
		"--control-key: missing":                {"--control-cert", "c", "--control-ca", "a", "--out", "o"},
		"--control-cert, --control-ca: missing": {"--control-key", "k"},
		"--out: missing":                        {"--control-cert", "c", "--control-key", "k", "--control-ca", "a"},
		"a Unix socket has no TLS":              {"--control", "unix:/x", "--control-cert", "c", "--control-key", "k", "--control-ca", "a", "--out", "o"},
		"are for TLS":                           {"--control-server-name", "n"},
	} {
		_, err := bootstrap(args...)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want a usage error with %q", args, err, want)
		}
	}
	t.Setenv("GATEWRIGHT_GRPC_CERT", "c")
	t.Setenv("GATEWRIGHT_GRPC_KEY", "k")
	t.Setenv("GATEWRIGHT_GRPC_CA", "a")
	if _, err := bootstrap(); err == nil || !strings.Contains(err.Error(), "GATEWRIGHT_GRPC_CERT is set") {
		t.Errorf("a bootstrap without TLS for a port with TLS: %v", err)
	}
}

// TestBootstrapForAnotherMachine: what is written here refers to paths there.
func TestBootstrapForAnotherMachine(t *testing.T) {
	out := filepath.Join(t.TempDir(), "new")
	told, err := bootstrap("--control", "gw.internal:9001", "--control-cert", "/tls/tls.crt", "--control-key", "/tls/tls.key",
		"--control-ca", "/trust/ca.crt", "--out", out, "--as", "/etc/envoy")
	if err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string][]string{
		"envoy.yaml": {
			"path: /etc/envoy/gatewright-certificate.yaml", "path: /etc/envoy/gatewright-ca.yaml",
			"path: /etc/envoy/gatewright-calls-certificate.yaml", "path: /etc/envoy/gatewright-calls-ca.yaml",
			"sni: gw.internal", "exact: gw.internal", "TLSv1_3",
		},
		"gatewright-certificate.yaml": {"filename: /tls/tls.crt", "filename: /tls/tls.key", "path: /tls\n"},
		"gatewright-ca.yaml":          {"filename: /trust/ca.crt", "path: /trust\n"},
	} {
		path := filepath.Join(out, name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(told, path+"\n") {
			t.Errorf("it does not say that it has written %s: %s", path, told)
		}
		for _, want := range wants {
			if !strings.Contains(string(content), want) {
				t.Errorf("%s: no %q in\n%s", name, want, content)
			}
		}
		if strings.Contains(string(content), out) {
			t.Errorf("%s names the folder of this machine:\n%s", name, content)
		}
	}
}
