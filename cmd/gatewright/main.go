// Command gatewright is the gateway: it configures Envoy, judges the requests
// that Envoy asks about, and can start and watch an Envoy of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, which every command keeps.
const (
	exitOK    = 0
	exitFault = 1 // the command could not do what was asked
	exitUsage = 2 // the command line was wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	code := execute(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func execute(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	var trouble troubleError
	switch {
	case err == nil, ctx.Err() != nil && errors.Is(err, context.Canceled):
		// Asked to stop while it was starting: that is no fault.
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "gatewright: %v\nSee gatewright --help.\n", err)
		return exitUsage
	case errors.Is(err, errDiffer):
		return exitFault // what differs has been told
	case errors.As(err, &trouble):
		fmt.Fprintf(os.Stderr, "gatewright: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(os.Stderr, "gatewright: %v\n", err)
		return exitFault
	}
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gatewright",
		Short: "An API gateway: Envoy moves the bytes, Gatewright does the thinking",
		Long: `Gatewright is an API gateway of two processes. Envoy moves the bytes; Gatewright
tells it what to do, judges each request (tokens, API keys, limits), and learns
from how each one ended. Behaviour is in one YAML file; the process itself is
set up by GATEWRIGHT_ environment variables (gatewright environment lists them).

Exit codes: 0 done; 1 it could not be done; 2 the command line was wrong.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	group(root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newRun(), newServe(), newCheck(), newDiff(), newExplain(), newRender(), newImport(), newBootstrap(),
		newApply(), newHistory(), newRollback(), newStatus(), newKeys(), newTokens(), newTenants(), newBreaker(), newRollout(), newHealth(), newSchema(), newVersion(), newEnvironment(),
	)
	return root
}

// group makes a command one that only has commands below it: called by itself
// it shows its help, and with a name that none has it is a usage error.
func group(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		fault := fmt.Sprintf("unknown command %q for %s", args[0], cmd.CommandPath())
		if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
			fault += fmt.Sprintf(", did you mean %q?", meant[0])
		}
		return usageError{errors.New(fault)}
	}
}

// atMost allows n positional arguments, and says so as a usage error.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usageError{fmt.Errorf("got %s; usage: %s", count(len(args), "argument"), cmd.UseLine())}
		}
		return nil
	}
}

// exactly wants n positional arguments, and says so as a usage error.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("got %s; usage: %s", count(len(args), "argument"), cmd.UseLine())}
		}
		return nil
	}
}
