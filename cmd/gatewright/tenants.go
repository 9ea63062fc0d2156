package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/keys"
)

func newTenants() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tenants",
		Short: "Customers: their plans, and their own limits",
		Long: `Say what is agreed on with a customer, for all callers of that tenant: a plan, which
limits of the config name (plans), and the customer's own numbers for single limits,
which go before every plan. The records are in the database that GATEWRIGHT_DATABASE_URL
names. A running gateway sees a change within two seconds, and each change is audited.
A tenant without a record has the limits that everybody has.`,
	}
	group(cmd)
	cmd.AddCommand(newTenantsList(), newTenantsShow(), newTenantsSet(), newTenantsRemove())
	return cmd
}

func newTenantsList() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the customers that have a record",
		Example: `  gatewright tenants list -o json`,
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				all, err := store.Tenants(cmd.Context())
				if err != nil {
					return err
				}
				return printTenants(cmd.OutOrStdout(), output, all, all)
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func newTenantsShow() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a customer's record",
		Example: `  gatewright tenants show acme`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				t, err := store.Tenant(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return printTenants(cmd.OutOrStdout(), output, t, []keys.Tenant{t})
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func newTenantsSet() *cobra.Command {
	var (
		plan, note, output string
		limits, without    []string
	)
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Set a customer's plan, own limits or note",
		Long: `Set what the flags say of a customer's record, and leave the rest of it as it is. There
need be no record before. An empty --plan or --note takes it away, --no-limit a limit.`,
		Example: `  gatewright tenants set acme --plan gold
  gatewright tenants set acme --limit per-tenant=500,100/s --note "until the end of March"
  gatewright tenants set acme --limit exports-a-month=1000
  gatewright tenants set acme --no-limit per-tenant --plan ""`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f := cmd.Flags()
			if !f.Changed("plan") && !f.Changed("note") && len(limits) == 0 && len(without) == 0 {
				return usageError{errors.New("nothing to set: want --plan, --limit, --no-limit or --note")}
			}
			own, err := ownLimits(limits)
			if err != nil {
				return usageError{err}
			}
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				t, err := store.SetTenant(cmd.Context(), args[0], func(t *keys.Tenant) {
					if f.Changed("plan") {
						t.Plan = plan
					}
					if f.Changed("note") {
						t.Note = note
					}
					maps.DeleteFunc(t.Limits, func(name string, _ config.Numbers) bool { return slices.Contains(without, name) })
					if t.Limits == nil {
						t.Limits = own
					} else {
						maps.Copy(t.Limits, own)
					}
				})
				if err != nil {
					return err
				}
				return printTenants(cmd.OutOrStdout(), output, t, []keys.Tenant{t})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&plan, "plan", "", "the customer's plan")
	f.StringArrayVar(&limits, "limit", nil, "the customer's own numbers for a limit, as NAME=CAPACITY,REFILL for a tokenBucket and NAME=NUMBER for any other; may be repeated")
	f.StringSliceVar(&without, "no-limit", nil, "a limit for which the customer has no own numbers any more; may be repeated")
	f.StringVar(&note, "note", "", "a word for people")
	outputFlag(cmd, &output)
	return cmd
}

// ownLimits reads NAME=CAPACITY,REFILL and NAME=NUMBER words.
func ownLimits(words []string) (map[string]config.Numbers, error) {
	own := map[string]config.Numbers{}
	for _, word := range words {
		name, numbers, ok := strings.Cut(word, "=")
		if !ok {
			return nil, fmt.Errorf("--limit %q: want NAME=NUMBERS, as per-tenant=500,100/s", word)
		}
		b, err := config.ParseNumbers(numbers)
		if err != nil {
			return nil, fmt.Errorf("--limit %q: %w", word, err)
		}
		if _, twice := own[name]; twice {
			return nil, fmt.Errorf("--limit %q: %s is there twice", word, name)
		}
		own[name] = b
	}
	return own, nil
}

func newTenantsRemove() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Remove a customer's record: the tenant then has the limits that everybody has",
		Example: `  gatewright tenants remove acme`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				t, err := store.RemoveTenant(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), t)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "the record of %s is removed\n", args[0])
				return err
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

// printTenants prints records: whole as JSON, or as a table.
func printTenants(w io.Writer, output string, whole any, all []keys.Tenant) error {
	if output == "json" {
		return printJSON(w, whole)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TENANT\tPLAN\tOWN LIMITS\tCHANGED\tNOTE")
	for _, t := range all {
		var limits []string
		for _, name := range slices.Sorted(maps.Keys(t.Limits)) {
			limits = append(limits, name+"="+t.Limits[name].String())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", t.Name, dash(t.Plan), dash(strings.Join(limits, " ")), date(t.ChangedAt), dash(t.Note))
	}
	return table.Flush()
}
