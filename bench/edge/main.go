// Command edge measures what a policy costs where it runs: inside Envoy, or by a call
// of each request, beside an Envoy that has none.
//
// It prints one table in Markdown. README.md beside it says what each row
// measures, and what it does not.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// options are how much is measured. Each is a flag.
type options struct {
	envoy       string
	module      string
	redis       bool
	rounds      int
	time        time.Duration
	connections int
	tokens      int
	key         string
	print       string
	authz       rig.Rivals
	ratelimit   rig.Rivals
	output      string
}

func fullSize() options {
	return options{envoy: os.Getenv("GATEWRIGHT_ENVOY"), module: os.Getenv("GATEWRIGHT_ENVOY_MODULE"), redis: true, rounds: 9, time: time.Second, connections: 64, tokens: 1000}
}

func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.envoy, "envoy", o.envoy, "Envoy's `program` ($GATEWRIGHT_ENVOY)")
	flags.StringVar(&o.module, "module", o.module, "the `file` of Gatewright's dynamic module, for the rows of what it remembers ($GATEWRIGHT_ENVOY_MODULE; empty: no such rows)")
	flags.BoolVar(&o.redis, "redis", o.redis, "start a redis-server, for the row with an exact limit")
	flags.IntVar(&o.rounds, "rounds", o.rounds, "how many times each row is measured, in turn")
	flags.DurationVar(&o.time, "time", o.time, "how long a row is loaded in one round")
	flags.IntVar(&o.connections, "connections", o.connections, "connections to Envoy, with one request at a time on each")
	flags.IntVar(&o.tokens, "tokens", o.tokens, "tokens in rotation, each of another user")
	flags.StringVar(&o.key, "key", "", "the `file` with the keys that sign the tokens, which is made where there is none: for rivals, which must know them before (default: new keys)")
	flags.StringVar(&o.print, "print", "", "print `what` a rival must be told, and do nothing else: jwks, opa (the policy, in Rego) or ratelimit (the limits)")
	flags.Var(&o.authz, "authz", "`NAME=ADDRESS/PID[,PID...]` of a server of Envoy's ext_authz (gRPC) that has this policy, and of what it works with; may be given several times")
	flags.Var(&o.ratelimit, "ratelimit", "`NAME=ADDRESS/PID,PID` of an envoyproxy/ratelimit that has these limits, and of its Redis; may be given several times")
	flags.StringVar(&o.output, "o", "", "the `file` that the table is written to, or what -print says (default: standard output)")
}

func (o options) validate() error {
	var errs []error
	if o.envoy == "" {
		errs = append(errs, errors.New("-envoy is missing"))
	}
	if o.time <= 0 || o.rounds < 1 || o.connections < 1 || o.tokens < 1 {
		errs = append(errs, errors.New("-rounds, -time, -connections and -tokens must be more than 0"))
	}
	return errors.Join(append(errs, o.validateRivals())...)
}

func main() {
	// Clients and backend share the cores with what they load. On one of them they wake
	// each other without the kernel.
	runtime.GOMAXPROCS(1)
	o := fullSize()
	rig.Main(o.register, func(ctx context.Context) error { return report(ctx, o, os.Stdout, os.Stderr) })
}

func report(ctx context.Context, o options, stdout, progress io.Writer) error {
	if o.print != "" {
		text, err := o.printed()
		if err != nil {
			return err
		}
		return rig.Write(text, o.output, stdout)
	}
	text, err := measure(ctx, o, progress)
	if err != nil {
		return err
	}
	return rig.Write(text, o.output, stdout)
}
