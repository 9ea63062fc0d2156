// Command check measures a Check: what a judgement costs beside a gRPC server
// that judges nothing, in CPU, requests a second, latency and allocations.
//
// It prints one table in Markdown. README.md beside it says what each row
// measures, and what it does not.
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
	rounds  int
	time    time.Duration
	streams int
	tokens  int
	fresh   int
	many    int
	output  string
}

func fullSize() options {
	return options{rounds: 7, time: time.Second, streams: 64, tokens: 200, fresh: 3000, many: 100_000}
}

func (o *options) register(flags *flag.FlagSet) {
	flags.IntVar(&o.rounds, "rounds", o.rounds, "how many times each row is measured, in turn")
	flags.DurationVar(&o.time, "time", o.time, "how long a row is loaded in one round")
	flags.IntVar(&o.streams, "streams", o.streams, "calls at once, on one connection")
	flags.IntVar(&o.tokens, "tokens", o.tokens, "tokens, and keys, in rotation where they have been seen before")
	flags.IntVar(&o.fresh, "fresh", o.fresh, "tokens in rotation where none is remembered until it comes again")
	flags.IntVar(&o.many, "many", o.many, "distinct tokens, and keys, for the rows on memory; 0 leaves them out")
	flags.StringVar(&o.output, "o", "", "the `file` that the table is written to (default: standard output)")
}

func (o options) validate() error {
	var errs []error
	for name, value := range map[string]int{"rounds": o.rounds, "streams": o.streams, "tokens": o.tokens, "fresh": o.fresh - 2*smallCache} {
		if value < 1 {
			errs = append(errs, fmt.Errorf("-%s is too small", name))
		}
	}
	if o.time <= 0 || o.many < 0 {
		errs = append(errs, errors.New("-time must be more than 0, and -many not less"))
	}
	return errors.Join(errs...)
}

func main() {
	if kind := os.Getenv(childVariable); kind != "" {
		rig.ExitOn(runChild(kind))
		return
	}
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
