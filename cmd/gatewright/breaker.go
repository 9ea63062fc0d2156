package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/breakerpolicy"
)

func newBreaker() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "breaker",
		Short: "How circuit breakers stand, and keep them open or closed",
		Long: `How the circuit breakers of a running gateway stand; and keep them open or closed, or
let them go by themselves again. It asks the admin port (GATEWRIGHT_ADMIN_ADDR); what
changes something needs GATEWRIGHT_ADMIN_TOKEN. Instances that share a Redis share
their breakers: any of them can be asked.

A breaker's name is that of its backend, or ROUTE/BACKEND where each route has its own.`,
	}
	group(cmd)
	cmd.AddCommand(
		newBreakerList(),
		newBreakerForce("open", breakerpolicy.ForceOpen, "Keep a breaker open: no request goes to its backend",
			"It stays open until `gatewright breaker auto`, or `close`."),
		newBreakerForce("close", breakerpolicy.ForceClosed, "Keep a breaker closed: every request goes to its backend",
			"It counts how requests end, and does not open, until `gatewright breaker auto`."),
		newBreakerForce("auto", breakerpolicy.Auto, "Let a breaker open and close by itself again",
			"One that was kept open is probed before it closes; one that was kept closed begins\nto count anew."),
	)
	return cmd
}

func newBreakerList() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List the breakers: their state, and the numbers behind it",
		Example: `  gatewright breaker list
  gatewright breaker list -o json | jq '.[] | select(.state != "closed")'`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []breakerpolicy.Status
			if len(args) == 0 {
				if err := askBreakers(cmd.Context(), http.MethodGet, "", nil, &all); err != nil {
					return err
				}
			} else {
				all = make([]breakerpolicy.Status, 1)
				if err := askBreakers(cmd.Context(), http.MethodGet, "/"+escapedName(args[0]), nil, &all[0]); err != nil {
					return err
				}
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), all)
			}
			return printBreakers(cmd.OutOrStdout(), all)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func newBreakerForce(use string, force breakerpolicy.Force, short, long string) *cobra.Command {
	var output, why string
	cmd := &cobra.Command{
		Use:     use + " NAME",
		Short:   short,
		Long:    short + ".\n" + long,
		Example: fmt.Sprintf("  gatewright breaker %s users-v1 --why \"ticket 4711\"", use),
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s breakerpolicy.Status
			body := map[string]string{"forced": string(force), "who": author(), "why": why}
			if err := askBreakers(cmd.Context(), http.MethodPut, "/"+escapedName(args[0]), body, &s); err != nil {
				return err
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), s)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is %s%s%s\n", oneLine(s.Name), s.State, keptSo(s), knownBy(s))
			return err
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "the reason, for the log")
	outputFlag(cmd, &output)
	return cmd
}

// escapedName is a breaker's name in a path. The slash in it stays.
func escapedName(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

func askBreakers(ctx context.Context, method, path string, body, into any) error {
	s, err := loadSettings()
	if err != nil {
		return err
	}
	return askAdmin(ctx, s.console, method, "/api/v1/breakers"+path, body, into)
}

func keptSo(s breakerpolicy.Status) string {
	if s.Forced == breakerpolicy.Auto {
		return ""
	}
	return ", kept so by an operator"
}

// knownBy says where a change counts, if not on all instances.
func knownBy(s breakerpolicy.Status) string {
	if s.Shared {
		return ""
	}
	return " (on this instance alone: it shares its breakers with no other now)"
}

func printBreakers(w io.Writer, all []breakerpolicy.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BREAKER\tSTATE\tFAILED\tSINCE\tOF\tMODE\tREMARKS")
	for _, s := range all {
		of := "this instance"
		if s.Shared {
			of = "the fleet"
		}
		since := "-"
		if s.Since != nil {
			since = date(*s.Since)
		}
		fmt.Fprintf(table, "%s\t%s\t%d of %d\t%s\t%s\t%s\t%s\n", oneLine(s.Name), s.State, s.Failed, s.Requests, since, of, s.Mode, dash(remarks(s)))
	}
	return table.Flush()
}

// remarks are what else there is to say of how a breaker stands.
func remarks(s breakerpolicy.Status) string {
	var all []string
	if s.Forced != breakerpolicy.Auto {
		all = append(all, "kept so by an operator")
	}
	switch {
	case s.RetryAfterSeconds > 0:
		all = append(all, fmt.Sprintf("probed in %.1f s", s.RetryAfterSeconds))
	case s.ProbeOut:
		all = append(all, "a probe is out or ready")
	case s.PassingPercent > 0:
		all = append(all, fmt.Sprintf("reopening: %d %% pass", s.PassingPercent))
	}
	if s.Openings > 1 {
		all = append(all, fmt.Sprintf("opened %d times since it was closed", s.Openings))
	}
	return strings.Join(all, ", ")
}
