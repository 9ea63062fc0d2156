package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLastGoodIsWholeOrNothing(t *testing.T) {
	dir := t.TempDir()
	l := newLastGood(dir, "gateway.yaml")
	if _, err := l.load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing kept: %v", err)
	}
	for _, data := range []string{"one", "two"} {
		if err := l.save(goodConfig{Location: "gateway.yaml", SavedAt: time.Unix(1, 0), Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
		if g, err := l.load(); err != nil || string(g.Data) != data || g.SavedAt.Unix() != 1 {
			t.Fatalf("%+v, %v", g, err)
		}
	}
	contents, err := filepath.Glob(filepath.Join(l.folder, "*.yaml"))
	if err != nil || len(contents) != 1 {
		t.Fatalf("contents kept: %v, %v", contents, err)
	}
	if _, err := newLastGood(dir, "other.yaml").load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another location: %v", err)
	}
	for name, spoil := range map[string]func() error{
		"cut off":      func() error { return os.Truncate(contents[0], 1) },
		"gone":         func() error { return os.Remove(contents[0]) },
		"no JSON":      func() error { return os.WriteFile(filepath.Join(l.folder, "last-good.json"), []byte("{"), 0o600) },
		"without hash": func() error { return os.WriteFile(filepath.Join(l.folder, "last-good.json"), []byte("{}"), 0o600) },
	} {
		if err := l.save(goodConfig{Data: []byte("two")}); err != nil {
			t.Fatal(err)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if g, err := l.load(); err == nil {
			t.Errorf("%s: %q is taken", name, g.Data)
		}
	}
}

// TestLastGoodOnAFullDisk: the folder cannot be written.
func TestLastGoodOnAFullDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newLastGood(file, "gateway.yaml").save(goodConfig{Data: []byte("x")}); err == nil {
		t.Error("no error")
	}
}
