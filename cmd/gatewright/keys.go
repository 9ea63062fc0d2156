package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/keys"
	"github.com/gatewright/gatewright/ratelimit"
)

func newKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Create, list, rotate, revoke and import API keys",
		Long: `Create, list, rotate, revoke and import API keys, in the database that
GATEWRIGHT_DATABASE_URL names. A running gateway sees a change within two seconds,
and each change is audited.`,
	}
	group(cmd)
	cmd.AddCommand(newKeysCreate(), newKeysList(), newKeysRotate(), newKeysRevoke(), newKeysImport(), newKeysAudit())
	return cmd
}

// withKeys opens the key store for one command.
func withKeys(ctx context.Context, do func(*keys.Store) error) (err error) {
	s, err := loadSettings()
	if err != nil {
		return err
	}
	// That a change could not be announced in Redis costs a fraction of a second.
	ratelimit.LogRedis(slog.New(slog.DiscardHandler))
	store, err := keys.Open(ctx, s.keys)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := store.Close(); err == nil {
			err = cerr
		}
	}()
	return do(store.As(operator()))
}

func newKeysCreate() *cobra.Command {
	var (
		spec   keys.Spec
		labels []string
		ttl    time.Duration
		output string
	)
	cmd := &cobra.Command{
		Use:   "create --name NAME",
		Short: "Create an API key and show it, this once",
		Example: `  gatewright keys create --name "Acme nightly import" --tenant acme --permission users:read
  gatewright keys create --name trial --ttl 720h -o json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ttl < 0 {
				return usageError{fmt.Errorf("--ttl %s: want a time to come", ttl)}
			}
			var err error
			if spec.Labels, err = keys.ParseLabels(labels); err != nil {
				return usageError{fmt.Errorf("--label: %w", err)}
			}
			if ttl > 0 {
				spec.ExpiresAt = time.Now().Add(ttl)
			}
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				record, secret, err := store.Create(cmd.Context(), spec)
				if err != nil {
					return err
				}
				return printCreated(cmd.OutOrStdout(), output, record, secret)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&spec.Name, "name", "", "a label for people (required)")
	f.StringVar(&spec.Owner, "owner", "", "who answers for the key")
	f.StringVar(&spec.Tenant, "tenant", "", "the customer it acts for")
	f.StringVar(&spec.Plan, "plan", "", "a plan of its own, which goes before its tenant's")
	f.StringSliceVar(&spec.Permissions, "permission", nil, "a permission that routes may ask for; may be repeated")
	f.StringSliceVar(&labels, "label", nil, "a name=value that keys are sorted by; may be repeated")
	f.DurationVar(&ttl, "ttl", 0, "how long it is valid; 0 is for ever")
	outputFlag(cmd, &output)
	return cmd
}

// shownKey is a key on the one occasion on which its text is shown.
type shownKey struct {
	Key string `json:"key"`
	keys.Record
}

func printCreated(w io.Writer, output string, record keys.Record, secret keys.Secret) error {
	if output == "json" {
		return printJSON(w, shownKey{secret.Reveal(), record})
	}
	_, err := fmt.Fprintf(w, "%s\n\nThis is the only time the key is shown. Its id, for list and revoke, is %s.\n", secret.Reveal(), record.ID)
	return err
}

func newKeysList() *cobra.Command {
	var (
		filter keys.Filter
		labels []string
		unused time.Duration
		output string
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the API keys, without their secrets",
		Example: `  gatewright keys list --tenant acme --active
  gatewright keys list --label team=billing --unused-for 2160h -o json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if filter.Labels, err = keys.ParseLabels(labels); err != nil {
				return usageError{fmt.Errorf("--label: %w", err)}
			}
			if unused < 0 {
				return usageError{fmt.Errorf("--unused-for %s: want a time that has passed", unused)}
			}
			if unused > 0 {
				filter.UnusedSince = time.Now().Add(-unused)
			}
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				records, err := store.List(cmd.Context(), filter)
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), records)
				}
				return printKeys(cmd.OutOrStdout(), records, time.Now())
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&filter.Tenant, "tenant", "", "only this tenant's")
	f.StringVar(&filter.Owner, "owner", "", "only this owner's")
	f.StringSliceVar(&labels, "label", nil, "only those with this name=value; may be repeated")
	f.BoolVar(&filter.Active, "active", false, "only those neither revoked nor expired")
	f.DurationVar(&unused, "unused-for", 0, "only those neither used nor made since; 0 is all")
	outputFlag(cmd, &output)
	return cmd
}

func newKeysRevoke() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "revoke ID",
		Short:   "Revoke an API key, for ever",
		Example: `  gatewright keys revoke 7kq2m9xw4tzc1`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				record, err := store.Revoke(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), record)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s (%s) is revoked since %s\n", record.ID, record.Name, record.RevokedAt.Format(time.RFC3339))
				return err
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func printKeys(w io.Writer, records []keys.Record, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tNAME\tTENANT\tPLAN\tOWNER\tSTATE\tCREATED\tEXPIRES\tLAST USED\tPERMISSIONS\tLABELS")
	for _, r := range records {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Name, dash(r.Tenant), dash(r.Plan), dash(r.Owner),
			r.StateAt(now), date(r.CreatedAt), date(r.ExpiresAt), date(r.LastUsedAt), dash(strings.Join(r.Permissions, ",")), dash(labelList(r.Labels)))
	}
	return table.Flush()
}

// labelList writes labels as they are given on the command line.
func labelList(labels map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		words = append(words, name+"="+labels[name])
	}
	return strings.Join(words, ",")
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
