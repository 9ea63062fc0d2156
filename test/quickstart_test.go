package test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestQuickstart starts what `make run` starts, on other ports, and pastes each
// line that it prints into a shell.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quickstart(t, env(t))
		})
	}
}

func quickstart(t *testing.T, env []string) {
	dir := t.TempDir()
	config, err := os.ReadFile("../examples/quickstart/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]string{}
	moved := regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllStringFunc(string(config), func(addr string) string {
		if ports[addr] == "" {
			ports[addr] = testenv.Addr(t)
		}
		return ports[addr]
	})
	file := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(file, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}

	cmd := testenv.NoOrphan(exec.Command(filepath.Join(binaries, "quickstart"), "-c", file))
	stdout, stderr := &testenv.Output{}, &testenv.Output{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Dir = dir
	cmd.Env = append(cleanEnvironment(), "GATEWRIGHT_ADMIN_ADDR="+testenv.Addr(t), "GATEWRIGHT_REDIS_TIMEOUT=2s",
		"GATEWRIGHT_GRPC_ADDR=unix:"+filepath.Join(testenv.ShortDir(t), "grpc"), "GATEWRIGHT_ENVOY="+testenv.Envoy(t))
	cmd.Env = append(cmd.Env, env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the quickstart, asked to stop: %v\n%s", err, stderr)
			}
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("the quickstart does not stop\n%s", stderr)
		}
	})
	eventually(t, "the tour is printed", func() error {
		if !strings.Contains(stdout.String(), "Ctrl-C ends it.") {
			return fmt.Errorf("standard output: %s\nstandard error: %s", stdout, stderr)
		}
		return nil
	})

	lines := tourLines(stdout.String())
	checks := []func(t *testing.T, out string){
		wants("401", `"reason":"credential-missing"`),
		wants("200 OK", `"X-User-Id":["alice"]`, `"X-User-Role":["buyer"]`, `"X-Trace-Id":["`, `"Traceparent":["00-`),
		wants("200 OK", `"X-Tenant-Id":["acme"]`),
		wants("200\n200\n200\n", "429 Too Many Requests", "retry-after: ", `"reason":"rate-limited"`),
		canaryCounted,
		wants(`"backend":"users-v2"`),
		wants("good day"),
	}
	if len(lines) != len(checks) {
		t.Fatalf("%d lines to paste, want %d:\n%s", len(lines), len(checks), stdout)
	}
	for i, line := range lines {
		out, err := exec.Command("bash", "-c", line).CombinedOutput()
		if err != nil {
			t.Errorf("%s\n%v: %s", line, err, out)
		}
		checks[i](t, string(out))
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != moved {
		t.Errorf("the tour did not leave the file as it was: %v", err)
	}
}

// tourLines are the lines under the comments.
func tourLines(tour string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^# .*\n(.+)$`).FindAllStringSubmatch(tour, -1) {
		out = append(out, m[1])
	}
	return out
}

func wants(parts ...string) func(*testing.T, string) {
	return func(t *testing.T, out string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(out, part) {
				t.Errorf("%q is not in %s", part, out)
			}
		}
	}
}

// canaryCounted: 10 % of 200 within five standard deviations.
func canaryCounted(t *testing.T, out string) {
	t.Helper()
	total := 0
	for _, m := range regexp.MustCompile(`(\d+) "backend":"(users-v\d)"`).FindAllStringSubmatch(out, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		total += n
		if m[2] == "users-v2" && n > 20+22 {
			t.Errorf("users-v2 got %d of 200", n)
		}
	}
	if total != 200 {
		t.Errorf("counted %d requests, want 200: %s", total, out)
	}
}

// TestReadmeConfigIsValid: what the README tells people to write is accepted.
func TestReadmeConfigIsValid(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) == 0 {
		t.Fatal("no config in the README")
	}
	for _, b := range blocks {
		app := backend(t, "shop")
		moved := strings.ReplaceAll(b[1], "127.0.0.1:3000", app.Addr())
		moved = strings.ReplaceAll(moved, "127.0.0.1:8080", `{{listen "public"}}`)
		g := start(t, setup{config: moved})
		key := g.createKey("--tenant", "acme", "--permission", "products:read")
		e := get(t, g.url("public", "/products/1"), key.header(), header{"X-Tenant-ID", "forged"}).ok(t).echo(t)
		if e.header("X-Tenant-ID") != "acme" || e.header("X-API-Key") != "" {
			t.Errorf("the service sees tenant %q, key %q", e.header("X-Tenant-ID"), e.header("X-API-Key"))
		}
		if r := get(t, g.url("public", "/products/1")); r.Status != http.StatusUnauthorized {
			t.Errorf("without the key: %d", r.Status)
		}
	}
}
