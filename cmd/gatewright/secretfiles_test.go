package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsFromFiles: a file is as good as the variable, and never silently no secret.
func TestSecretsFromFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("GATEWRIGHT_KEY_SECRET_FILE", file("secret", " a secret with a blank before it\n"))
	t.Setenv("GATEWRIGHT_ADMIN_TOKEN_FILE", file("token", "token\r\n"))
	s, err := loadSettings()
	if err != nil {
		t.Fatal(err)
	}
	if s.keys.Secret != " a secret with a blank before it" || s.console.Token != "token" {
		t.Errorf("read %q and %q", s.keys.Secret, s.console.Token)
	}

	for _, bad := range []struct{ path, value, want string }{
		{file("empty", "\n"), "", "the file is empty"},
		{filepath.Join(dir, "missing"), "", "no such file"},
		{file("both", "token"), "canary", "set one of them"},
	} {
		t.Setenv("GATEWRIGHT_ADMIN_TOKEN_FILE", bad.path)
		t.Setenv("GATEWRIGHT_ADMIN_TOKEN", bad.value)
		_, err := loadSettings()
		if err == nil || !strings.Contains(err.Error(), "GATEWRIGHT_ADMIN_TOKEN_FILE") || !strings.Contains(err.Error(), bad.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", bad.path, err, bad.want)
		}
	}
}
