// Command overload measures what is left of a backend's work when more is asked of it than
// it can do: goodput beyond capacity, beside goodput at capacity.
//
// It prints a table in Markdown. README.md beside it says what each row measures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// options are how much is measured. Each is a flag.
type options struct {
	envoy  string
	time   time.Duration
	times  int
	output string
}

func fullSize() options {
	return options{envoy: os.Getenv("GATEWRIGHT_ENVOY"), time: 60 * time.Second, times: 10}
}

func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.envoy, "envoy", o.envoy, "Envoy's `program` ($GATEWRIGHT_ENVOY)")
	flags.DurationVar(&o.time, "time", o.time, "how long the overload lasts")
	flags.IntVar(&o.times, "times", o.times, "how many times its capacity a backend is asked")
	flags.StringVar(&o.output, "o", "", "the `file` that the table is written to (default: standard output)")
}

func (o options) validate() error {
	var errs []error
	if o.envoy == "" {
		errs = append(errs, errors.New("-envoy is missing"))
	}
	if o.time < 2*time.Second || o.times < 2 {
		errs = append(errs, errors.New("-time must be 2s or more, and -times 2 or more"))
	}
	return errors.Join(errs...)
}

func main() {
	o := fullSize()
	rig.Main(o.register, func(ctx context.Context) error { return report(ctx, o, os.Stdout, os.Stderr) })
}

func report(ctx context.Context, o options, stdout, progress io.Writer) error {
	if err := o.validate(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "overload-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	gatewright, err := rig.Build(ctx, dir)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("| the backend has | at capacity, answers/s | at %d times, answers/s | of capacity | p99 | denied at once | well again after | Envoy, MiB |\n|---|---|---|---|---|---|---|---|\n", o.times)
	for _, p := range protections {
		fmt.Fprintln(progress, p.name)
		r, err := measure(ctx, gatewright, o, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		text += fmt.Sprintf("| %s | %.0f | %.0f | %.0f %% | %s | %.0f %% | %s | %d → %d |\n", p.name, r.atCapacity, r.beyond,
			100*r.beyond/r.atCapacity, r.p99.Round(time.Millisecond), 100*r.denied, r.recovery, r.before, r.most)
	}
	return rig.Write(text+"\n"+rig.Machine(ctx)+"\n", o.output, stdout)
}
