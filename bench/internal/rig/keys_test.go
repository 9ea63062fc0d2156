package rig

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnIssuerIsKept: whoever reads the file has the same keys as who made it.
func TestAnIssuerIsKept(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "issuer.pem")
	made, err := KeptIssuer(file)
	if err != nil {
		t.Fatal(err)
	}
	read, err := KeptIssuer(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made.JWKS, read.JWKS) || !read.RSA.Equal(made.RSA) || !read.Ed25519.Equal(made.Ed25519) {
		t.Errorf("other keys were read than were made:\n%s\n%s", made.JWKS, read.JWKS)
	}
}

func TestAFileWithoutKeysIsNotReplaced(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(file, []byte("no keys"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := KeptIssuer(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v does not name the file", err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "no keys" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

func TestRivalsHaveProcesses(t *testing.T) {
	t.Parallel()
	var l Rivals
	if err := l.Set("one/with a slash=127.0.0.1:8081/17,18"); err != nil {
		t.Fatal(err)
	}
	if got := l[0]; got.Name != "one/with a slash" || got.Addr != "127.0.0.1:8081" || len(got.PIDs()) != 2 || got.PIDs()[0] != 17 || got.PIDs()[1] != 18 {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"a=b/17,", "a=b/,17", "a=b/17,x", "a=b/17,0", "a=b/"} {
		if err := l.Set(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
