package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/keys"
)

func newKeysRotate() *cobra.Command {
	var (
		overlap time.Duration
		output  string
	)
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give an API key a new secret and show it, this once",
		Long: `Give an API key a new secret and show it, this once. Its id, and what it may
do, stay. The secret before goes on for --overlap, so that whoever holds it can
change to the new one; --overlap 0 ends it at once, as after a leak.`,
		Example: `  gatewright keys rotate 7kq2m9xw4tzc1 --overlap 24h
  gatewright keys rotate 7kq2m9xw4tzc1 --overlap 0 -o json`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if overlap < 0 {
				return usageError{fmt.Errorf("--overlap %s: want a time to come, or 0", overlap)}
			}
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				record, secret, err := store.Rotate(cmd.Context(), args[0], overlap)
				if err != nil {
					return err
				}
				return printRotated(cmd.OutOrStdout(), output, record, secret)
			})
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the secret before goes on; 0 ends it now")
	outputFlag(cmd, &output)
	return cmd
}

func printRotated(w io.Writer, output string, record keys.Record, secret keys.Secret) error {
	if output == "json" {
		return printJSON(w, shownKey{secret.Reveal(), record})
	}
	_, err := fmt.Fprintf(w, "%s\n\nThis is the only time the key is shown. The secret before it is valid until %s.\n",
		secret.Reveal(), date(record.PreviousUntil))
	return err
}
