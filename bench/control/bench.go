package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/envoy"
)

// bench is one run: the programs that are measured, and a folder for what they
// write.
type bench struct {
	options
	root       string // of the module
	dir        string
	gatewright string
	envoy      string
	progress   io.Writer
	started    time.Time
	folders    int
}

// measurement fills in rows of the report. After an error it returns those that
// it has.
type measurement struct {
	name string
	run  func(*bench, context.Context) ([]row, error)
}

// measurements are all of them, in the order of the report.
func measurements() []measurement {
	return []measurement{
		{"lookup", (*bench).lookup},
		{"change", (*bench).change},
		{"churn", (*bench).churned},
		{"compile", (*bench).compile},
		{"envoys", (*bench).connected},
	}
}

func rowNames() []string {
	var out []string
	for _, m := range measurements() {
		out = append(out, m.name)
	}
	return out
}

// measure is the report of all that is wanted. One measurement that fails does
// not keep the others from being made.
func measure(ctx context.Context, o options, progress io.Writer) (_ *table, err error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	b := &bench{options: o, progress: progress, started: time.Now()}
	if b.dir, err = os.MkdirTemp("", "gw-bench-"); err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	t := &table{machine: describe(ctx, b.root, b.envoy)}
	var errs []error
	for _, m := range measurements() {
		if !slices.Contains(o.wanted(), m.name) || ctx.Err() != nil {
			continue
		}
		rows, err := m.run(b, ctx)
		t.rows = append(t.rows, rows...)
		if err != nil {
			errs = append(errs, fmt.Errorf("measuring %s: %w", m.name, err))
		}
	}
	if ctx.Err() != nil {
		// What the measurements say of it is no news.
		return t, errors.New("interrupted: the report has what was measured until then")
	}
	b.say("done")
	return t, errors.Join(errs...)
}

// prepare finds Envoy and builds gatewright, from the very source that this
// program is of.
func (b *bench) prepare(ctx context.Context) error {
	mod := output(ctx, "", "go", "env", "GOMOD")
	if mod == unknown || mod == os.DevNull {
		return errors.New("finding the source of gatewright: run this inside its repository, with Go on PATH")
	}
	b.root = filepath.Dir(mod)
	var err error
	if b.envoy, err = envoy.Find(os.Getenv("GATEWRIGHT_ENVOY"), b.root); err != nil {
		return err
	}
	b.gatewright = filepath.Join(b.dir, "gatewright")
	b.say("building gatewright")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.gatewright, "./cmd/gatewright")
	build.Dir = b.root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building gatewright: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// folder is a new one.
func (b *bench) folder() (string, error) {
	b.folders++
	dir := filepath.Join(b.dir, fmt.Sprint(b.folders))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	return dir, nil
}

// say tells whoever waits what is going on.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%6.1fs  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}
