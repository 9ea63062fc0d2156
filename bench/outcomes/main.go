// Command outcomes measures what it costs to learn how requests have ended: the CPU
// that a `gatewright serve` uses for each request of the access logs that Envoys
// send, with all that is done with it.
//
// It prints a table in Markdown. README.md beside it says what each row measures,
// and what it does not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// options are how much is measured. Each is a flag.
type options struct {
	rounds int
	time   time.Duration
	rows   string
	output string
}

func fullSize() options { return options{rounds: 7, time: 2 * time.Second} }

func (o *options) register(flags *flag.FlagSet) {
	flags.IntVar(&o.rounds, "rounds", o.rounds, "how many times each row is measured, in turn")
	flags.DurationVar(&o.time, "time", o.time, "how long a row is loaded in one round")
	flags.StringVar(&o.rows, "rows", o.rows, "measure only the rows that this `expression` matches")
	flags.StringVar(&o.output, "o", "", "the `file` that the table is written to (default: standard output)")
}

func (o options) validate() error {
	var errs []error
	if o.rounds < 1 {
		errs = append(errs, errors.New("-rounds must be more than 0"))
	}
	if o.time <= 0 {
		errs = append(errs, errors.New("-time must be more than 0"))
	}
	if _, err := regexp.Compile(o.rows); err != nil {
		errs = append(errs, fmt.Errorf("-rows: %w", err))
	}
	return errors.Join(errs...)
}

func main() {
	o := fullSize()
	rig.Main(o.register, func(ctx context.Context) error { return report(ctx, o, os.Stdout, os.Stderr) })
}

func report(ctx context.Context, o options, stdout, progress io.Writer) error {
	text, err := measure(ctx, o, progress)
	if err != nil {
		return err
	}
	return rig.Write(text, o.output, stdout)
}
