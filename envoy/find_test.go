package envoy

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestFindPrefersWhatIsNamed(t *testing.T) {
	dir, onPath := t.TempDir(), t.TempDir()
	named := program(t, "exit 0\n")
	installed := filepath.Join(dir, toolsPath)
	for _, path := range []string{installed, filepath.Join(onPath, "envoy")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, named, path, want string }{
		{"named", named, onPath, named},
		{"on PATH", "", onPath, filepath.Join(onPath, "envoy")},
		{"in .tools", "", t.TempDir(), installed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PATH", c.path)
			if got, err := Find(c.named, dir); err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestFindNothing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, named := range []string{"", "/no/such/envoy"} {
		if _, err := Find(named, t.TempDir()); !errors.Is(err, ErrNotFound) {
			t.Errorf("named %q: got %v, want ErrNotFound", named, err)
		}
	}
}
