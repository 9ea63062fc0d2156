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
	return StartCollectorAt(t, Addr(t))
}

// StartCollectorAt starts one that takes OTLP by gRPC at an address.
func StartCollectorAt(t testing.TB, grpc string) *Collector {
	t.Helper()
	c := &Collector{GRPC: grpc, HTTP: Addr(t), out: &Output{}}
	cmd := NoOrphan(exec.Command(sinkProgram.at(t), "-grpc", c.GRPC, "-http", c.HTTP))
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

// The programs of test/otlpsink, each of which is built once where a test needs it.
var (
	sinkProgram = builtCollector{name: "otlpsink", pkg: "."}
	otelProgram = builtCollector{name: "collector", pkg: "./collector"}
)

// OTelCollector is the program of OpenTelemetry's collector, with the components that
// deploy/compose/otel-collector.yaml names.
func OTelCollector(t testing.TB) string { return otelProgram.at(t) }

type builtCollector struct {
	name, pkg string

	once sync.Once
	path string
	err  error
}

func (b *builtCollector) at(t testing.TB) string {
	t.Helper()
	root := Root(t)
	b.once.Do(func() { b.err = b.build(root) })
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

func (b *builtCollector) build(root string) error {
	dir, err := os.MkdirTemp("", b.name)
	if err != nil {
		return err
	}
	b.path = filepath.Join(dir, b.name)
	cmd := exec.Command("go", "build", "-o", b.path, b.pkg)
	cmd.Dir = filepath.Join(root, "test", "otlpsink")
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s of test/otlpsink: %w\n%s", b.pkg, err, out)
	}
	return nil
}

// RemoveCollector removes the programs, at the end of a test process.
func RemoveCollector() {
	for _, b := range []*builtCollector{&sinkProgram, &otelProgram} {
		if b.path != "" {
			_ = os.RemoveAll(filepath.Dir(b.path))
		}
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
