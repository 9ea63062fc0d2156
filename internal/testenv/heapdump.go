package testenv

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

// Canary is a secret that a test looks for in its own memory. It is kept in
// another spelling, so that the test itself is not what is found.
type Canary struct{ masked []byte }

const canaryMask = 0xa5

// NewCanary keeps a secret. Its text has to be let go by the caller.
func NewCanary(secret string) Canary {
	masked := []byte(secret)
	for i := range masked {
		masked[i] ^= canaryMask
	}
	return Canary{masked}
}

// Reveal returns the secret, in a copy.
func (c Canary) Reveal() string {
	plain := bytes.Clone(c.masked)
	for i := range plain {
		plain[i] ^= canaryMask
	}
	return string(plain)
}

// in counts how often the secret stands in data, without making a plain copy.
func (c Canary) in(data []byte) (n int) {
	for i := 0; i+len(c.masked) <= len(data); i++ {
		j := 0
		for j < len(c.masked) && data[i+j]^canaryMask == c.masked[j] {
			j++
		}
		if j == len(c.masked) {
			n++
		}
	}
	return n
}

// InMemory counts, for each canary, the places of this process's memory where it
// stands: the heap as the garbage collector leaves it, stacks and globals. It is
// what a core dump would have of objects that something still refers to.
func InMemory(t testing.TB, canaries ...Canary) []int {
	t.Helper()
	// Twice: what a sync.Pool holds survives one collection.
	for range 3 {
		runtime.GC()
	}
	path := filepath.Join(t.TempDir(), "heap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	debug.WriteHeapDump(f.Fd())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	dump, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := make([]int, len(canaries))
	for i, c := range canaries {
		found[i] = c.in(dump)
	}
	return found
}
