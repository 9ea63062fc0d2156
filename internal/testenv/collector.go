package testenv

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Collector is the OTLP receiver of OpenTelemetry's collector, in a process of a
// test's own (test/otlpsink). It is killed when the test ends.
type Collector struct {
	// GRPC and HTTP are where it takes OTLP.
	GRPC, HTTP string
	// Process is its own, to be stopped or killed.
	Process *os.Process

	out *Output
}

// Span is a span that a collector has taken.
type Span struct {
	Trace, Span, Parent, Name, Kind, Service, Scope, Status string
	Start, End                                              int64 // in ns since 1970
	Attributes                                              map[string]any
}

// Record is a record of a log that a collector has taken.
type Record struct {
	Log            any
	Trace, Service string
	Attributes     map[string]any
}

// StartCollector starts one, and returns when it listens.
func StartCollector(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{GRPC: Addr(t), HTTP: Addr(t), out: &Output{}}
	cmd := NoOrphan(exec.Command(collectorProgram(t), "-grpc", c.GRPC, "-http", c.HTTP))
	var stderr Output
	cmd.Stdout, cmd.Stderr = c.out, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.Process = cmd.Process
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	Eventually(t, "the collector listens", func() error {
		for _, addr := range []string{c.GRPC, c.HTTP} {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return fmt.Errorf("%w: %s", err, &stderr)
			}
			conn.Close()
		}
		return nil
	})
	return c
}

// collectorProgram is the program, which is built once.
func collectorProgram(t testing.TB) string {
	t.Helper()
	root := Root(t)
	buildCollector.Do(func() {
		var dir string
		if dir, collectorErr = os.MkdirTemp("", "otlpsink"); collectorErr != nil {
			return
		}
		collectorPath = filepath.Join(dir, "otlpsink")
		cmd := exec.Command("go", "build", "-o", collectorPath, ".")
		cmd.Dir = filepath.Join(root, "test", "otlpsink")
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			collectorErr = fmt.Errorf("building test/otlpsink: %w\n%s", err, out)
		}
	})
	if collectorErr != nil {
		t.Fatal(collectorErr)
	}
	return collectorPath
}

var (
	buildCollector sync.Once
	collectorPath  string
	collectorErr   error
)

// RemoveCollector removes the program, at the end of a test process.
func RemoveCollector() {
	if collectorPath != "" {
		_ = os.RemoveAll(filepath.Dir(collectorPath))
	}
}

// Text is all that the collector has written of what it has taken.
func (c *Collector) Text() string { return c.out.String() }

// Spans are those of a trace so far, or all where trace is empty.
func (c *Collector) Spans(t testing.TB, trace string) (out []Span) {
	t.Helper()
	c.lines(t, func(line []byte) {
		var s Span
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if s.Span != "" && (trace == "" || s.Trace == trace) {
			out = append(out, s)
		}
	})
	return out
}

// Records are those of logs so far.
func (c *Collector) Records(t testing.TB) (out []Record) {
	t.Helper()
	c.lines(t, func(line []byte) {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if r.Log != nil || r.Attributes["method"] != nil {
			out = append(out, r)
		}
	})
	return out
}

func (c *Collector) lines(t testing.TB, each func([]byte)) {
	t.Helper()
	text := c.out.String()
	whole := text[:strings.LastIndexByte(text, '\n')+1] // a line may be on its way
	scanner := bufio.NewScanner(strings.NewReader(whole))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		each(scanner.Bytes())
	}
}
