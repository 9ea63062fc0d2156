// Command control measures the control plane on a real Envoy: what a route
// table costs a request, how soon a change serves, whether a change costs
// somebody a request, and what all that takes in time and memory.
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
	"os/signal"
	"syscall"
)

func main() {
	if asked := os.Getenv(childVariable); asked != "" {
		exitOn(runChild(asked, os.Stdout))
		return
	}
	o := fullSize()
	o.register(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 {
		exitOn(fmt.Errorf("unexpected argument %q", flag.Arg(0)))
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	// A second Ctrl-C ends this process at once, and the kernel its children.
	context.AfterFunc(ctx, cancel)
	exitOn(report(ctx, o, os.Stdout, os.Stderr))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "control:", err)
		os.Exit(1)
	}
}

// report measures and prints the table of what could be measured, also after an
// error.
func report(ctx context.Context, o options, stdout, progress io.Writer) error {
	t, err := measure(ctx, o, progress)
	if t == nil {
		return err
	}
	if o.output == "" {
		return errors.Join(err, t.write(stdout))
	}
	f, createErr := os.Create(o.output)
	if createErr != nil {
		return errors.Join(err, fmt.Errorf("creating the report: %w", createErr))
	}
	return errors.Join(err, t.write(f), f.Close())
}
