package acme

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLock: one has it at a time, however many want it; given back it is free; and
// of one whose holder has gone, one takes it over.
func TestLock(t *testing.T) {
	f := folder(t.TempDir())
	for _, before := range []string{"free", "stale"} {
		if before == "stale" {
			leaveStale(t, f.path(locks, "a"))
		}
		var held, most atomic.Int64
		var wanting sync.WaitGroup
		var mu sync.Mutex
		var releases []func()
		for range 16 {
			wanting.Go(func() {
				release, err := f.lock("a")
				if err != nil {
					t.Error(err)
				}
				if release == nil {
					return
				}
				most.Store(max(most.Load(), held.Add(1)))
				mu.Lock()
				releases = append(releases, release)
				mu.Unlock()
			})
		}
		wanting.Wait()
		if most.Load() != 1 {
			t.Errorf("%s: %d have it", before, most.Load())
		}
		for _, release := range releases {
			release()
		}
	}
	release, err := f.lock("a")
	if release == nil || err != nil {
		t.Fatalf("given back it is not free: %v", err)
	}
	release()
	if left, err := os.ReadDir(f.path(locks, "")); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// TestLockNowhere: without a folder to keep anything in there is an error, and no
// lock: what is obtained then would be obtained at each start.
func TestLockNowhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if release, err := folder(filepath.Join(file, "in")).lock("a"); err == nil || release != nil {
		t.Error("a lock was taken")
	}
}

// TestLockIsTakenOverOnce: who found a lock stale, and comes to take it over when another
// has done so, leaves it.
func TestLockIsTakenOverOnce(t *testing.T) {
	f := folder(t.TempDir())
	if err := f.prepare(); err != nil {
		t.Fatal(err)
	}
	path := f.path(locks, "a")
	leaveStale(t, path)
	if !takeOver(path, "first") {
		t.Error("nobody has it")
	}
	if takeOver(path, "second") {
		t.Error("two have it")
	}
	if holder, err := os.ReadFile(path); err != nil || string(holder) != "first" {
		t.Errorf("it is %q's: %v", holder, err)
	}
}

// leaveStale leaves a lock as a gateway does that has died.
func leaveStale(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("a gateway that died"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * lockStale)
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
}
