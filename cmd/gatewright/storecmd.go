package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/store"
)

// writeFlags say by whom and why a config is written.
type writeFlags struct {
	location, who, why, output string
	force                      bool
}

func (f *writeFlags) add(cmd *cobra.Command) {
	configFlag(cmd, &f.location)
	cmd.Flags().StringVarP(&f.why, "message", "m", "", "why")
	cmd.Flags().StringVar(&f.who, "author", "", "who (default USER@HOST)")
	cmd.Flags().BoolVar(&f.force, "force", false, "also if it drops more than half of the routes")
	outputFlag(cmd, &f.output)
}

func (f *writeFlags) write() store.Write {
	who := f.who
	if who == "" {
		who = author()
	}
	return store.Write{Who: who, Why: f.why, Force: f.force}
}

// author is who runs the command, as far as the machine knows.
func author() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// withStore calls do with the store of a location.
func withStore(location string, do func(s *settings, st store.Store) error) (err error) {
	s, err := settingsFor(location)
	if err != nil {
		return err
	}
	st, err := store.Open(s.process.Config, s.store, s.process.StateDir, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return do(s, st)
}

func newApply() *cobra.Command {
	var f writeFlags
	var basedOn int64
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Check a config, and write it to where running gateways read theirs, as a version of its history",
		Long: `Check a config, and write it to where running gateways read theirs: a file, etcd or
Consul (-c, GATEWRIGHT_CONFIG). Each write is a version with who, when and why
(gatewright history). What others write meanwhile is not lost: the write is
refused if the config changes while this command runs, or if it is no longer the
version that --based-on names.

A change that drops more than half of the routes is refused without --force.

Exit codes: 0 written; 1 it has faults, or was changed meanwhile, or could not be
written; 2 the command line was wrong.`,
		Example: `  gatewright apply gateway.yaml -c etcd://127.0.0.1:2379/gateway -m "orders moves to v2"
  gatewright apply new.yaml -c gateway.yaml --based-on 7
  gatewright apply - < gateway.yaml`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := contentOf(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			return withStore(f.location, func(s *settings, st store.Store) error {
				v, err := applyConfig(cmd.Context(), s, st, args[0], data, f, basedOn)
				if err != nil {
					return err
				}
				return printVersion(cmd.OutOrStdout(), f.output, s.process.Config, v)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().Int64Var(&basedOn, "based-on", 0, "refuse unless this version is the one that is there")
	return cmd
}

func contentOf(file string, stdin io.Reader) ([]byte, error) {
	if file != "-" {
		return config.Read(file)
	}
	data, err := io.ReadAll(io.LimitReader(stdin, config.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	return data, nil
}

// applyConfig writes a config that has no faults on top of the one that is there.
func applyConfig(ctx context.Context, s *settings, st store.Store, name string, data []byte, f writeFlags, basedOn int64) (store.Version, error) {
	if name == "-" {
		name = "standard input"
	}
	before, w, err := checkedWrite(ctx, s.process.Config, st, name, data, f)
	if err != nil {
		return store.Version{}, err
	}
	if basedOn != 0 && (before.Version == nil || before.Version.Number != basedOn) {
		return store.Version{}, fmt.Errorf("writing the config to %s: %w: it is %s, not version %d", s.process.Config, store.ErrConflict, versionName(before.Version), basedOn)
	}
	return st.Apply(ctx, data, w)
}

// checkedWrite is the write of a content that has no faults and, unless it is
// forced, does not drop most routes of what is there before; it expects just
// that to be there.
func checkedWrite(ctx context.Context, location string, st store.Store, name string, data []byte, f writeFlags) (before store.Snapshot, w store.Write, err error) {
	c, err := parseNamed(location, name, data)
	if err != nil {
		return before, w, err
	}
	if _, err := plan.Compile(c, plan.Options{}); err != nil {
		return before, w, err
	}
	w = f.write()
	before, err = st.Read(ctx)
	switch {
	case errors.Is(err, store.ErrNotFound):
		w.Expected = store.Absent
		return before, w, nil
	case err != nil:
		return before, w, err
	}
	w.Expected = before.Revision
	if f.force {
		return before, w, nil
	}
	old, err := parseAt(location, before.Data)
	if err != nil {
		return before, w, nil // whatever it is, no gateway that starts serves it
	}
	if rule := dropRule(old, c); rule != "" {
		return before, w, fmt.Errorf("the change is not written: %s; if that is meant, use --force", rule)
	}
	return before, w, nil
}

func newHistory() *cobra.Command {
	var location, output string
	cmd := &cobra.Command{
		Use:   "history [NUMBER]",
		Short: "The versions of a config: who wrote it, when and why; or the content of one",
		Example: `  gatewright history -c etcd://127.0.0.1:2379/gateway
  gatewright history 7 > gateway.yaml`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(location, func(_ *settings, st store.Store) error {
				if len(args) == 1 {
					number, err := versionNumber(args[0])
					if err != nil {
						return err
					}
					data, err := st.Content(cmd.Context(), number)
					if err == nil {
						_, err = cmd.OutOrStdout().Write(data)
					}
					return err
				}
				versions, err := st.History(cmd.Context())
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), versions)
				}
				return printHistory(cmd.OutOrStdout(), versions)
			})
		},
	}
	configFlag(cmd, &location)
	outputFlag(cmd, &output)
	return cmd
}

func newRollback() *cobra.Command {
	var f writeFlags
	cmd := &cobra.Command{
		Use:   "rollback NUMBER",
		Short: "Write an older version of a config again, as a new one",
		Long: `Write the content of an older version again, as a new one: the history only grows.
It is checked first, since what it names may not be there any more; --force is as
for apply.

Exit codes: 0 written; 1 it has faults, or was changed meanwhile, or could not be
written; 2 the command line was wrong.`,
		Example: `  gatewright rollback 7 -m "version 8 broke the shop"`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := versionNumber(args[0])
			if err != nil {
				return err
			}
			return withStore(f.location, func(s *settings, st store.Store) error {
				v, err := rollBack(cmd.Context(), s, st, number, f)
				if err != nil {
					return err
				}
				return printVersion(cmd.OutOrStdout(), f.output, s.process.Config, v)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func rollBack(ctx context.Context, s *settings, st store.Store, number int64, f writeFlags) (store.Version, error) {
	data, err := st.Content(ctx, number)
	if err != nil {
		return store.Version{}, err
	}
	_, w, err := checkedWrite(ctx, s.process.Config, st, fmt.Sprintf("version %d", number), data, f)
	if err != nil {
		return store.Version{}, err
	}
	return store.Rollback(ctx, st, number, w)
}

func versionNumber(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, usageError{fmt.Errorf("%q is not the number of a version: they are 1, 2, 3 and so on", text)}
	}
	return n, nil
}

func versionName(v *store.Version) string {
	if v == nil {
		return "one that has no version (it was written by other hands)"
	}
	return fmt.Sprintf("version %d", v.Number)
}

func printVersion(w io.Writer, output, location string, v store.Version) error {
	if output == "json" {
		return printJSON(w, v)
	}
	_, err := fmt.Fprintf(w, "%s: written as version %d\n", location, v.Number)
	return err
}

func printHistory(w io.Writer, versions []store.Version) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VERSION\tWHEN\tWHO\tWHY")
	for _, v := range versions {
		who, why := v.Who, v.Why
		if v.ByHand {
			who, why = "-", "edited by hand"
		}
		if v.RolledBackTo != 0 {
			why = fmt.Sprintf("[back to %d] %s", v.RolledBackTo, why)
		}
		if v.Force {
			why = "[force] " + why
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", v.Number, v.When.Local().Format(time.DateTime), oneLine(who), oneLine(why))
	}
	return t.Flush()
}

// oneLine shows a text that others wrote on one line, without what would move
// a terminal's cursor.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
