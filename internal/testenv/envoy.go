package testenv

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// EnvoyRun is how StartEnvoy starts one.
type EnvoyRun struct {
	// Config is the text of its config file, in YAML or JSON. Where that refers to other files
	// by relative paths, File names it instead.
	Config []byte
	File   string

	// Stdout is where its access logs go that are on standard output, and Stderr where its
	// own log goes. Without a Stdout it goes nowhere; without a Stderr it is in the test's
	// log if the test fails.
	Stdout, Stderr io.Writer

	// Args are more arguments.
	Args []string
}

// StartEnvoy starts an Envoy for as long as the test, with one thread that serves, and
// without hot restart, for which two at a time would need different IDs. It does not
// wait until it serves.
func StartEnvoy(t testing.TB, run EnvoyRun) *os.Process {
	t.Helper()
	file := run.File
	if file == "" {
		file = filepath.Join(t.TempDir(), "envoy.yaml")
		if err := os.WriteFile(file, run.Config, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said := &Output{}
	if run.Stderr == nil {
		run.Stderr = said
	}
	args := append([]string{"-c", file, "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"}, run.Args...)
	cmd := NoOrphan(exec.Command(Envoy(t), args...))
	cmd.Stdout, cmd.Stderr = run.Stdout, run.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Envoy: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
		if text := said.String(); t.Failed() && text != "" {
			t.Logf("Envoy says:\n%s", text)
		}
	})
	return cmd.Process
}
