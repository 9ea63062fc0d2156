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
	"os/signal"
	"syscall"
	"time"
)

// options are how much is measured. Each is a flag.
type options struct {
	rounds int
	time   time.Duration
	output string
}

func fullSize() options { return options{rounds: 7, time: 2 * time.Second} }

func (o *options) register(flags *flag.FlagSet) {
	flags.IntVar(&o.rounds, "rounds", o.rounds, "how many times each row is measured, in turn")
	flags.DurationVar(&o.time, "time", o.time, "how long a row is loaded in one round")
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
	return errors.Join(errs...)
}

func main() {
	o := fullSize()
	o.register(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 {
		exitOn(fmt.Errorf("unexpected argument %q", flag.Arg(0)))
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	exitOn(report(ctx, o, os.Stdout, os.Stderr))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "outcomes:", err)
		os.Exit(1)
	}
}

func report(ctx context.Context, o options, stdout, progress io.Writer) error {
	text, err := measure(ctx, o, progress)
	if err != nil {
		return err
	}
	if o.output == "" {
		_, err = io.WriteString(stdout, text)
		return err
	}
	return os.WriteFile(o.output, []byte(text), 0o600)
}
