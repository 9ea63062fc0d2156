package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine is what was measured, and on what.
type machine struct {
	cores          int
	cpu            string
	memory, kernel string
	load           string
	golang         string
	envoy          string
	commit         string
	at             time.Time
}

// String is the head of the report.
func (m machine) String() string {
	return fmt.Sprintf("%s · %d cores (%s), %s of memory, Linux %s, load average %s before · %s, Envoy %s, gatewright %s",
		m.at.UTC().Format("2006-01-02 15:04 MST"), m.cores, m.cpu, m.memory, m.kernel, m.load, m.golang, m.envoy, m.commit)
}

// describe looks at the machine. What it cannot learn is said to be unknown:
// the measurements stand without it.
func describe(ctx context.Context, root, envoy string) machine {
	return machine{
		cores:  runtime.NumCPU(),
		cpu:    field("/proc/cpuinfo", "model name"),
		memory: memory(),
		kernel: firstWords("/proc/sys/kernel/osrelease", 1),
		load:   firstWords("/proc/loadavg", 1),
		golang: runtime.Version(),
		envoy:  envoyVersion(ctx, envoy),
		commit: output(ctx, root, "git", "describe", "--tags", "--always", "--dirty"),
		at:     time.Now(),
	}
}

const unknown = "unknown"

// field is the value of the first line `name : value` of a file.
func field(file, name string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(data)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

func memory() string {
	var kib int64
	if _, err := fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%d kB", &kib); err != nil {
		return unknown
	}
	return fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
}

// firstWords are the first n words of a file.
func firstWords(file string, n int) string {
	data, err := os.ReadFile(file)
	words := strings.Fields(string(data))
	if err != nil || len(words) < n {
		return unknown
	}
	return strings.Join(words[:n], " ")
}

// envoyVersion is the second part of what Envoy says of itself:
// `envoy  version: HASH/1.40.0/Clean/RELEASE/BoringSSL`.
func envoyVersion(ctx context.Context, envoy string) string {
	parts := strings.Split(output(ctx, "", envoy, "--version"), "/")
	for _, part := range parts[min(1, len(parts)):] {
		if strings.Count(part, ".") >= 2 {
			return part
		}
	}
	return unknown
}

func output(ctx context.Context, dir, name string, args ...string) string {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return unknown
	}
	return strings.TrimSpace(string(out))
}
