package main

import (
	"fmt"
	"io"
	"os"
	"os/user"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/keys"
)

func newKeysAudit() *cobra.Command {
	var (
		filter keys.AuditFilter
		last   time.Duration
		output string
	)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Who changed or listed which API keys, and when",
		Long: `Who changed which API keys, or looked at the list of them, and when: the newest
--limit entries, oldest first.
Changes that somebody made in the database by hand are not in it.`,
		Example: `  gatewright keys audit --last 24h
  gatewright keys audit --key 7kq2m9xw4tzc1 -o json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if last < 0 || filter.Limit < 1 {
				return usageError{fmt.Errorf("--last %s --limit %d: want a time that is past, and at least one change", last, filter.Limit)}
			}
			if last > 0 {
				filter.Since = time.Now().Add(-last)
			}
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				audited, err := store.Audit(cmd.Context(), filter)
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), audited)
				}
				return printAudit(cmd.OutOrStdout(), audited)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&filter.KeyID, "key", "", "only changes of the key with this id")
	f.DurationVar(&last, "last", 0, "only changes of the time that has passed since; 0 is any")
	f.IntVar(&filter.Limit, "limit", keys.DefaultAuditLimit, "how many changes at most")
	outputFlag(cmd, &output)
	return cmd
}

func printAudit(w io.Writer, audited []keys.Audited) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tACTOR\tACTION\tKEY\tDETAIL")
	for _, a := range audited {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", date(a.At), a.Actor, a.Action, a.KeyID, a.Detail)
	}
	return table.Flush()
}

// operator is who runs this command, as the machine knows them.
func operator() string {
	name := fmt.Sprint("uid ", os.Getuid()) // in a container there may be no name
	if found, err := user.Current(); err == nil && found.Username != "" {
		name = found.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}
