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
	"fmt"
	"io"
	"os"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

func main() {
	if asked := os.Getenv(childVariable); asked != "" {
		rig.ExitOn(runChild(asked, os.Stdout))
		return
	}
	o := fullSize()
	rig.Main(o.register, func(ctx context.Context) error { return report(ctx, o, os.Stdout, os.Stderr) })
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
