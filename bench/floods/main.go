// Command floods measures what others feel of attacks on a listener: the p99 of a client
// that does no harm, beside each attack, and beside as many requests of as many bytes that
// do no harm either, from the same process.
//
// It prints a table in Markdown. README.md beside it says what each column measures.
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
	envoy   string
	attacks string
	rounds  int
	time    time.Duration
	rate    int
	backend string
	output  string

	// Those are of the process that attacks.
	attacker, addr string
	harmless       bool
}

func fullSize() options {
	return options{envoy: os.Getenv("GATEWRIGHT_ENVOY"), attacks: ".", rounds: 7, time: time.Second, rate: 500, backend: "http1"}
}

func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.envoy, "envoy", o.envoy, "Envoy's `program` ($GATEWRIGHT_ENVOY)")
	flags.StringVar(&o.attacks, "attacks", o.attacks, "an `expression` that the names of the attacks fit which are measured")
	flags.IntVar(&o.rounds, "rounds", o.rounds, "how many times each is measured")
	flags.DurationVar(&o.time, "time", o.time, "how long each time")
	flags.IntVar(&o.rate, "rate", o.rate, "how many `writes` a second an attack has, and how many requests what it is compared with")
	flags.StringVar(&o.backend, "backend", o.backend, "the `protocol` of the backend: http1 or http2")
	flags.StringVar(&o.output, "o", "", "the `file` that the table is written to (default: standard output)")
	flags.StringVar(&o.attacker, "attacker", "", "do this `attack`, until standard input ends, and print how many writes it had (this program calls itself so)")
	flags.StringVar(&o.addr, "addr", "", "the `address` that is attacked")
	flags.BoolVar(&o.harmless, "harmless", false, "do no attack, but what it is compared with")
}

func (o options) validate() error {
	var errs []error
	if o.envoy == "" && o.attacker == "" {
		errs = append(errs, errors.New("-envoy is missing"))
	}
	if o.rounds < 1 || o.time <= 0 || o.rate < 1 {
		errs = append(errs, errors.New("-rounds, -time and -rate must be more than 0"))
	}
	if _, err := regexp.Compile(o.attacks); err != nil {
		errs = append(errs, fmt.Errorf("-attacks: %w", err))
	}
	return errors.Join(errs...)
}

func main() {
	o := fullSize()
	rig.Main(o.register, func(ctx context.Context) error {
		if err := o.validate(); err != nil {
			return err
		}
		if o.attacker != "" {
			return attack(ctx, o, os.Stdin, os.Stdout)
		}
		return report(ctx, o, os.Stdout, os.Stderr)
	})
}

func report(ctx context.Context, o options, stdout, progress io.Writer) error {
	dir, err := os.MkdirTemp("", "floods-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	b, err := start(ctx, dir, o)
	if err != nil {
		return err
	}
	defer b.stop()
	text := "| attack | connections | writes/s | Envoy's CPU a write, µs, harmless → attack | p99 alone | beside harmless requests | beside the attack | of harmless | + <= 20 % |\n|---|---|---|---|---|---|---|---|---|\n"
	for _, a := range chosen(o) {
		fmt.Fprintln(progress, a.Name)
		row, err := b.measure(ctx, a)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		text += row
	}
	return rig.Write(text+"\n"+rig.Machine(ctx)+"\n", o.output, stdout)
}
