package test

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"
)

// Bounds of the gateway of the quickstart that waits for its first request. It takes
// some 14 MiB of its own, and 35 to 48 of its program are in memory, which the system
// takes back when it wants them (docs/operations.md has what was measured).
const (
	mostOfItsOwn   = 32 << 20
	mostAltogether = 80 << 20
)

// TestIdleMemory: nothing large is made before it is needed.
func TestIdleMemory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the kernel's own count of a process' memory is read in /proc")
	}
	config, err := os.ReadFile("../examples/quickstart/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	moved := regexp.MustCompile(`127\.0\.0\.1:8080`).ReplaceAllString(string(config), `{{listen "public"}}`)
	moved = regexp.MustCompile(`127\.0\.0\.1:91\d\d`).ReplaceAllString(moved, "{{.app}}")
	moved = regexp.MustCompile(`, "\{\{\.app\}\}"`).ReplaceAllString(moved, "") // the same one only once
	g := start(t, setup{config: moved, values: map[string]string{"app": backend(t, "app").Addr()}})
	get(t, g.url("public", "/hello")).ok(t)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	own, all := kilobytes(t, status, "RssAnon"), kilobytes(t, status, "VmRSS")
	t.Logf("%d MiB of its own, %d MiB altogether", own>>20, all>>20)
	if own > mostOfItsOwn || all > mostAltogether {
		t.Errorf("idle it takes %d MiB of its own and %d MiB altogether, want at most %d and %d", own>>20, all>>20, mostOfItsOwn>>20, mostAltogether>>20)
	}
}

func kilobytes(t *testing.T, status []byte, name string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no %s in %s", name, status)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}
