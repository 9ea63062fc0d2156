package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/plan"
)

// childVariable asks this program, in its environment, to do one thing in a
// fresh process and to tell what it took: memory that was used before would
// count as that thing's.
const childVariable = "BENCH_CONTROL_CHILD"

// taken is what a thing took.
type taken struct {
	Time time.Duration `json:"time"`
	// CPU is that of all cores, and says more than Time on a busy machine.
	CPU time.Duration `json:"cpu"`
	// Allocated is all memory that was asked for, though some was free again
	// soon, and Peak the most that was resident at once. Both are bytes; Peak
	// is the whole process's.
	Allocated int64 `json:"allocated"`
	Peak      int64 `json:"peak"`
}

// inChild has a fresh process do a thing to a table.
func inChild(ctx context.Context, thing string, s size) (t taken, err error) {
	self, err := os.Executable()
	if err != nil {
		return t, fmt.Errorf("finding this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d/%d", childVariable, thing, s.routes, s.hosts))
	cmd.SysProcAttr = childAttributes()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	// The kernel kills the child when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.Output()
	if err != nil {
		return t, fmt.Errorf("%s in a process of its own: %w\n%s", thing, err, &stderr)
	}
	if err := json.Unmarshal(out, &t); err != nil {
		return t, fmt.Errorf("%s in a process of its own: %w: %q", thing, err, out)
	}
	return t, nil
}

// runChild does what inChild asks for, and writes what it took.
func runChild(asked string, w io.Writer) error {
	thing, extent, _ := strings.Cut(asked, " ")
	var s size
	if err := s.Set(extent); err != nil {
		return err
	}
	g := &gateway{address: "127.0.0.1:8080", routes: routesOf(s)}
	var do func() error
	switch thing {
	case "compile":
		c := g.config()
		do = func() error { _, err := plan.Compile(c, plan.Options{}); return err }
	case "parse":
		text := g.text()
		do = func() error { _, err := config.Parse("gateway.yaml", text); return err }
	default:
		return fmt.Errorf("nothing is called %q", thing)
	}
	t, err := taking(do)
	if err != nil {
		return fmt.Errorf("%s: %w", thing, err)
	}
	return json.NewEncoder(w).Encode(t)
}

func taking(do func() error) (t taken, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpuBefore, err := cpuTime("self")
	if err != nil {
		return t, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return t, err
	}
	t.Time = time.Since(began)
	cpuAfter, err := cpuTime("self")
	if err != nil {
		return t, err
	}
	t.CPU = cpuAfter - cpuBefore
	runtime.ReadMemStats(&after)
	t.Allocated = int64(after.TotalAlloc - before.TotalAlloc)
	// Not what getrusage says: that begins with the memory of the parent.
	t.Peak, err = statusBytes("self", "VmHWM")
	return t, err
}
