// Command quic shows what becomes of handshakes by QUIC while an Envoy's certificate is
// replaced: of a plain Envoy, without Gatewright. README.md beside it says why.
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

// options are how much is done. Each is a flag.
type options struct {
	envoy   string
	time    time.Duration
	every   time.Duration
	clients int
	output  string
}

func fullSize() options {
	return options{envoy: os.Getenv("GATEWRIGHT_ENVOY"), time: 30 * time.Second, every: 100 * time.Millisecond, clients: 4}
}

func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.envoy, "envoy", o.envoy, "Envoy's `program` ($GATEWRIGHT_ENVOY)")
	flags.DurationVar(&o.time, "time", o.time, "how long each way is tried")
	flags.DurationVar(&o.every, "every", o.every, "how often the certificate is replaced")
	flags.IntVar(&o.clients, "clients", o.clients, "how many clients make one handshake after the other")
	flags.StringVar(&o.output, "o", "", "the `file` that the table is written to (default: standard output)")
}

func (o options) validate() error {
	var errs []error
	if o.envoy == "" {
		errs = append(errs, errors.New("-envoy is missing"))
	}
	if o.time <= 0 || o.every <= 0 || o.clients < 1 {
		errs = append(errs, errors.New("-time, -every and -clients must be more than 0"))
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
	text := "| the certificate is replaced | replacements | handshakes | torn | others that failed | a kept connection |\n|---|---|---|---|---|---|\n"
	for _, w := range ways {
		fmt.Fprintln(progress, w.name)
		r, err := try(ctx, o, w)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		text += fmt.Sprintf("| %s | %d | %d | %d | %d | %s |\n", w.name, r.replaced, r.made, r.torn, r.failed, r.kept)
	}
	return rig.Write(text+"\n"+rig.Machine(ctx)+"\n", o.output, stdout)
}
