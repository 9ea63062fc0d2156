package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/rollout"
)

func newRollout() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollout",
		Short: "Where canaries are, and pause, resume, promote and abort them",
		Long: `Where the canaries of a running gateway are, and why; and pause, resume, promote and
abort them. It asks the admin port (GATEWRIGHT_ADMIN_ADDR); what changes something
needs GATEWRIGHT_ADMIN_TOKEN. Instances that share a Redis share their rollouts: any
of them can be asked.`,
	}
	group(cmd)
	cmd.AddCommand(newRolloutList())
	for _, a := range []struct {
		action       rollout.Action
		short, after string
	}{
		{rollout.Pause, "Stay at the step", "The canary is still watched, and taken back if it does not stand."},
		{rollout.Resume, "Go on after a pause, or begin anew after an abort", ""},
		{rollout.Promote, "Take the last step at once", "The canary is watched no more."},
		{rollout.Abort, "Take the canary's whole share away at once", "It stays so until resume, or until the config of the rollout changes."},
	} {
		cmd.AddCommand(newRolloutAction(a.action, a.short, a.after))
	}
	return cmd
}

func newRolloutList() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the rollouts: what each canary gets, and why",
		Example: `  gatewright rollout list
  gatewright rollout list -o json | jq '.[].decisions'`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []rollout.Status
			if err := askRollouts(cmd.Context(), http.MethodGet, "", nil, &all); err != nil {
				return err
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), all)
			}
			return printRollouts(cmd.OutOrStdout(), all)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func newRolloutAction(a rollout.Action, short, after string) *cobra.Command {
	var output, why string
	cmd := &cobra.Command{
		Use:     string(a) + " ROUTE",
		Short:   short,
		Long:    short + ", of the rollout of a route. " + after,
		Example: fmt.Sprintf("  gatewright rollout %s get-users --why \"ticket 4711\"", a),
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s rollout.Status
			body := map[string]string{"why": why, "who": author()}
			if err := askRollouts(cmd.Context(), http.MethodPost, "/"+url.PathEscape(args[0])+"/"+string(a), body, &s); err != nil {
				return err
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), s)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is %s: %s gets %d %%\n", s.Route, s.Phase, s.Backend, s.Percent)
			return err
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "the reason, for the history")
	outputFlag(cmd, &output)
	return cmd
}

func askRollouts(ctx context.Context, method, path string, body, into any) error {
	s, err := loadSettings()
	if err != nil {
		return err
	}
	return askAdmin(ctx, s.console, method, "/api/v1/rollouts"+path, body, into)
}

func printRollouts(w io.Writer, all []rollout.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ROLLOUT OF\tCANARY\tGETS\tSTATE\tSTEP\tCANARY IN STEP\tSTABLE IN STEP")
	for _, s := range all {
		gets := fmt.Sprintf("%d %%", s.Percent)
		if s.Dark {
			gets += " as copies"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d of %d\t%s\t%s\n", s.Route, s.Backend, gets, s.Phase, s.Step, len(s.Steps), s.Canary, s.Stable)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, s := range all {
		fmt.Fprintf(w, "%s: %s\n", s.Route, s.Why)
		if s.Waits != "" {
			fmt.Fprintf(w, "%s waits for %s\n", s.Route, s.Waits)
		}
	}
	return nil
}
