// Command limits measures what a limit costs: decisions of gatewright by Redis
// and in memory, beside envoyproxy/ratelimit where one is running, in requests a
// second, latency, CPU and commands of Redis.
//
// It prints tables in Markdown. README.md beside it says what each row measures,
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
	"slices"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// options are how much is measured, and beside what. Each is a flag.
type options struct {
	rounds  int
	time    time.Duration
	streams int
	users   int
	fleet   time.Duration
	many    int
	redis   string
	rivals  rig.Rivals
	config  bool
	only    onlyRows
	output  string
}

func fullSize() options {
	return options{rounds: 7, time: time.Second, streams: 64, users: 200, fleet: 10 * time.Second, many: 1_000_000}
}

func (o *options) register(flags *flag.FlagSet) {
	flags.IntVar(&o.rounds, "rounds", o.rounds, "how many times each row is measured, in turn; 0 leaves them out")
	flags.DurationVar(&o.time, "time", o.time, "how long a row is loaded in one round")
	flags.IntVar(&o.streams, "streams", o.streams, "calls at once, on one connection")
	flags.IntVar(&o.users, "users", o.users, "users in rotation: each is counted by itself")
	flags.DurationVar(&o.fleet, "fleet", o.fleet, "how long four instances on one Redis are loaded, for each consistency; 0 leaves it out")
	flags.IntVar(&o.many, "many", o.many, "distinct keys for the rows on memory; 0 leaves them out")
	flags.StringVar(&o.redis, "redis", "", "the `address` of a Redis to measure with, whose keys expire (default: one is started)")
	flags.Var(&o.rivals, "rival", "`NAME=ADDRESS/PID` of an envoyproxy/ratelimit on the same Redis, with the config that -config prints; there may be several")
	flags.BoolVar(&o.config, "config", false, "print the rival's config, and do nothing else")
	flags.Var(&o.only, "only", "a `pattern` (regexp) that the names of rows have to fit, as \"exact, 3\" (default: all rows)")
	flags.StringVar(&o.output, "o", "", "the `file` that the tables are written to (default: standard output)")
}

// onlyRows is which rows are measured. The zero value is all.
type onlyRows struct{ pattern *regexp.Regexp }

// Set implements flag.Value.
func (r *onlyRows) Set(text string) (err error) {
	r.pattern, err = regexp.Compile(text)
	return err
}

func (r *onlyRows) String() string {
	if r.pattern == nil {
		return ""
	}
	return r.pattern.String()
}

// has says whether a row is measured.
func (r *onlyRows) has(what string, descriptors int) bool {
	return r.pattern == nil || r.pattern.MatchString(fmt.Sprintf("%s, %d", what, descriptors))
}

func (o options) validate() error {
	var errs []error
	for name, value := range map[string]int{"streams": o.streams, "users": o.users} {
		if value < 1 {
			errs = append(errs, fmt.Errorf("-%s must be more than 0", name))
		}
	}
	if o.rounds < 0 || o.many < 0 || o.fleet < 0 {
		errs = append(errs, errors.New("-rounds, -many and -fleet must not be less than 0"))
	}
	if o.time <= 0 {
		errs = append(errs, errors.New("-time must be more than 0"))
	}
	if len(o.rivals) > 0 && o.redis == "" {
		errs = append(errs, errors.New("-rival needs -redis, the one that they count in"))
	}
	if slices.ContainsFunc(o.rivals, func(r rig.Rival) bool { return len(r.With) > 0 }) {
		errs = append(errs, errors.New("-rival takes one process: the Redis that it counts in is -redis"))
	}
	return errors.Join(errs...)
}

func main() {
	o := fullSize()
	rig.Main(o.register, func(ctx context.Context) error { return report(ctx, o, os.Stdout, os.Stderr) })
}

func report(ctx context.Context, o options, stdout, progress io.Writer) error {
	if o.config {
		_, err := io.WriteString(stdout, rivalConfig)
		return err
	}
	text, err := measure(ctx, o, progress)
	if err != nil {
		return err
	}
	return rig.Write(text, o.output, stdout)
}
