package limitfiles

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

// patience is longer than any delivery takes on a busy machine.
const patience = 30 * time.Second

// delivery is what Follow delivered.
type delivery struct {
	table *Table
	err   error
}

// follow follows a folder, and returns what is delivered.
func follow(t *testing.T, f *Folder) <-chan delivery {
	t.Helper()
	f.poll, f.settle = 5*time.Millisecond, 200*time.Millisecond
	delivered := make(chan delivery, 100)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- f.Follow(ctx, func(table *Table, err error) { delivered <- delivery{table, err} })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow ended with %v", err)
		}
	})
	return delivered
}

func next(t *testing.T, delivered <-chan delivery) delivery {
	t.Helper()
	select {
	case d := <-delivered:
		return d
	case <-time.After(patience):
		t.Fatal("nothing was delivered")
		return delivery{}
	}
}

// want waits for a table in which the key a has so many requests.
func want(t *testing.T, delivered <-chan delivery, requests uint32) {
	t.Helper()
	d := next(t, delivered)
	if d.err != nil {
		t.Fatalf("got %v, want %d", d.err, requests)
	}
	if rule := Find(d.table, "d", entries("a=x")); rule == nil || rule.Requests != requests {
		t.Fatalf("got %+v, want %d", rule, requests)
	}
}

func limited(requests int) string {
	return fmt.Sprintf("domain: d\ndescriptors:\n  - {key: a, rate_limit: {unit: day, requests_per_unit: %d}}\n", requests)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFollow: a file that is written, that is added, renamed over and taken away; and
// a folder that is.
func TestFollow(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "limits")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "a.yaml")
	write(t, path, limited(1))
	write(t, filepath.Join(folder, ".hidden.yaml"), "not read")
	write(t, filepath.Join(folder, "note.txt"), "not read")
	f := NewFolder(folder, Options{})
	if read, err := f.Read(); err != nil || read.Summary() != (Summary{1, 1, 1}) {
		t.Fatalf("got %+v, %v", read.Summary(), err)
	}
	delivered := follow(t, f)

	write(t, path, limited(2))
	want(t, delivered, 2)
	write(t, path, "domain: d\ndescriptor: []\n")
	var faults config.Faults
	if d := next(t, delivered); d.table != nil || !errors.As(d.err, &faults) || faults[0].Line != 2 {
		t.Fatalf("got %+v, want the fault of line 2", d)
	}
	write(t, path+".new", limited(3))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	want(t, delivered, 3)
	write(t, filepath.Join(folder, "b.yaml"), "domain: e\n")
	if d := next(t, delivered); d.table.Summary() != (Summary{2, 2, 1}) {
		t.Fatalf("got %+v, want two files", d)
	}
	if err := os.Remove(filepath.Join(folder, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	want(t, delivered, 3)
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if d := next(t, delivered); d.table != nil || !errors.Is(d.err, os.ErrNotExist) {
		t.Fatalf("got %+v, want that there is no folder", d)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	want(t, delivered, 3)
}

// TestFollowConfigMap: Kubernetes turns a symbolic link to a new folder.
func TestFollowConfigMap(t *testing.T) {
	folder := t.TempDir()
	version := func(n int) string {
		name := fmt.Sprintf("..v%d", n)
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name, "limits.yaml"), limited(n))
		return name
	}
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(version(1), "..data")
	link(filepath.Join("..data", "limits.yaml"), "limits.yaml")
	f := NewFolder(folder, Options{})
	if _, err := f.Read(); err != nil {
		t.Fatal(err)
	}
	delivered := follow(t, f)
	for n := 2; n <= 4; n++ {
		link(version(n), "..tmp")
		if err := os.Rename(filepath.Join(folder, "..tmp"), filepath.Join(folder, "..data")); err != nil {
			t.Fatal(err)
		}
		want(t, delivered, uint32(n))
	}
	if len(delivered) > 0 {
		t.Errorf("%d more were delivered", len(delivered))
	}
}
