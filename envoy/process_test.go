package envoy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program writes an executable shell script that stands for Envoy.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func newTestProcess(t *testing.T, binary string) *Process {
	t.Helper()
	p, err := NewProcess(ProcessOptions{
		Binary:    binary,
		Bootstrap: BootstrapOptions{NodeID: "n", ControlCluster: "gatewright", CallCluster: "gatewright-calls", ControlAddr: "127.0.0.1:1"},
		Stdout:    io.Discard,
		Stderr:    io.Discard,
		Log:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// pids waits until a file has n lines, and returns them as pids.
func pids(t *testing.T, file string, n int) []int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		data, _ := os.ReadFile(file)
		lines := strings.Fields(string(data))
		if len(lines) < n {
			if time.Now().After(deadline) {
				t.Fatalf("%d starts, want %d", len(lines), n)
			}
			continue
		}
		var out []int
		for _, l := range lines {
			pid, err := strconv.Atoi(l)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, pid)
		}
		return out
	}
}

func TestEnvoyThatDiesIsStartedAgain(t *testing.T) {
	starts := filepath.Join(t.TempDir(), "starts")
	p := newTestProcess(t, program(t, "echo $$ >>"+starts+"\nexec sleep 60\n"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()

	first := pids(t, starts, 1)[0]
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := pids(t, starts, 2)[1]
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run, asked to end: %v", err)
	}
	if err := syscall.Kill(second, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the second one is still there after Run: %v", err)
	}
}

func TestEnvoyThatNeverStaysUpIsGivenUp(t *testing.T) {
	p := newTestProcess(t, program(t, "exit 3\n"))
	err := p.Run(t.Context())
	if !errors.Is(err, ErrHopeless) || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want ErrHopeless with the exit status", err)
	}
}

func TestEnvoyThatCannotBeStarted(t *testing.T) {
	p := newTestProcess(t, filepath.Join(t.TempDir(), "nothing"))
	if err := p.Run(t.Context()); !errors.Is(err, ErrHopeless) {
		t.Errorf("got %v, want ErrHopeless", err)
	}
}

func TestFolderIsPrivate(t *testing.T) {
	p := newTestProcess(t, "unused")
	info, err := os.Stat(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of Envoy's admin socket has mode %v: others could stop Envoy", info.Mode())
	}
}
