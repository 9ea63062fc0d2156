package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/keys"
)

func newTokens() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens",
		Short: "Revoke tokens before they expire",
		Long: `Revoke tokens of an issuer before they expire: one of them by its jti, those of a
subject, or all. Revocations are kept in the database that GATEWRIGHT_DATABASE_URL
names. Every running gateway that has it open sees a change within two seconds.`,
	}
	group(cmd)
	cmd.AddCommand(newTokensRevoke(), newTokensList(), newTokensRestore())
	return cmd
}

func newTokensRevoke() *cobra.Command {
	var (
		r             keys.Revocation
		before, until string
		token         bool
		output        string
	)
	cmd := &cobra.Command{
		Use:   "revoke --issuer URL [--jti ID | --subject SUB] [--issued-before TIME]",
		Short: "Revoke one token, those of a subject, or all of an issuer",
		Long: `Revoke one token by its jti, or the tokens of a subject, or all of an issuer, that
were issued before a time: by default now. The second of now counts as before, so
who signs in again within it has to do it once more. A token that does not say
when it was issued (iat) counts as issued before every time.`,
		Example: `  gatewright tokens revoke --issuer https://id.example.com/ --subject alice --why "stolen laptop"
  gatewright tokens revoke --issuer https://id.example.com/ --jti 5f2c --until 2026-02-01T00:00:00Z
  gatewright tokens revoke --issuer https://id.example.com/ --issued-before 2026-01-31T12:00:00Z
  gatewright tokens revoke --token < token.txt`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			if token {
				if r.Issuer != "" || r.TokenID != "" || r.Subject != "" || before != "" || until != "" {
					return usageError{errors.New("--token says which token it is: no other flag does")}
				}
				read, err := revocationOf(cmd.InOrStdin(), now)
				if err != nil {
					return err
				}
				read.Why = r.Why
				r = read
			}
			if err := timesOf(&r, before, until, now); err != nil {
				return usageError{err}
			}
			r.By = operator()
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				made, err := store.RevokeTokens(cmd.Context(), r)
				if err != nil {
					return err
				}
				return printRevocation(cmd.OutOrStdout(), output, "revoked", made)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Issuer, "issuer", "", "the iss of the tokens")
	f.StringVar(&r.TokenID, "jti", "", "the one token of this id")
	f.StringVar(&r.Subject, "subject", "", "the tokens of this sub")
	f.StringVar(&before, "issued-before", "", "those issued before this time (RFC 3339); default: now")
	f.StringVar(&until, "until", "", "when the last of them has expired and the revocation can be forgotten (RFC 3339); default: never")
	f.BoolVar(&token, "token", false, "read the token itself from the standard input")
	f.StringVar(&r.Why, "why", "", "the reason, for the list")
	outputFlag(cmd, &output)
	return cmd
}

// maxTokenInput is more than any token has.
const maxTokenInput = 1 << 20

// revocationOf is the revocation of the token that is read.
func revocationOf(from io.Reader, now time.Time) (keys.Revocation, error) {
	b, err := io.ReadAll(io.LimitReader(from, maxTokenInput))
	if err != nil {
		return keys.Revocation{}, fmt.Errorf("reading a token: %w", err)
	}
	t, denial := authz.ReadToken(strings.TrimSpace(string(b)))
	switch {
	case denial != nil:
		return keys.Revocation{}, fmt.Errorf("reading a token: %s: %s", denial.Reason, denial.Detail)
	case t.Issuer == "":
		return keys.Revocation{}, errors.New("reading a token: it has no iss: nobody could tell whose it is")
	case t.ID == "":
		return keys.Revocation{}, fmt.Errorf("reading a token: it has no jti, by which it alone could be revoked: revoke those of its subject (--issuer %q --subject %q)", t.Issuer, t.Subject)
	case t.Expires.IsZero():
		return keys.Revocation{Issuer: t.Issuer, TokenID: t.ID}, nil
	}
	// Some skew of clocks is allowed to whoever judges it.
	until := t.Expires.Add(24 * time.Hour)
	if !until.After(now) {
		return keys.Revocation{}, fmt.Errorf("reading a token: it has expired at %s", t.Expires.Format(time.RFC3339))
	}
	return keys.Revocation{Issuer: t.Issuer, TokenID: t.ID, Until: until}, nil
}

// timesOf fills in the times that flags give.
func timesOf(r *keys.Revocation, before, until string, now time.Time) (err error) {
	if before != "" {
		if r.IssuedBefore, err = time.Parse(time.RFC3339, before); err != nil {
			return fmt.Errorf("--issued-before %q: want a time as 2026-01-31T12:00:00Z", before)
		}
	} else if r.TokenID == "" {
		// iat counts seconds: that of now is over for tokens issued in it.
		r.IssuedBefore = now.Truncate(time.Second).Add(time.Second)
	}
	if until != "" {
		if r.Until, err = time.Parse(time.RFC3339, until); err != nil {
			return fmt.Errorf("--until %q: want a time as 2026-01-31T12:00:00Z", until)
		}
	}
	return nil
}

func newTokensList() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the revocations in force",
		Example: `  gatewright tokens list`,
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				all, err := store.Revocations(cmd.Context())
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), all)
				}
				return printRevocations(cmd.OutOrStdout(), all)
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func newTokensRestore() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "restore NUMBER",
		Short:   "Take a revocation back",
		Example: `  gatewright tokens restore 17`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return usageError{fmt.Errorf("%q: want the number of a revocation, as tokens list shows it", args[0])}
			}
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				r, err := store.RestoreTokens(cmd.Context(), number)
				if err != nil {
					return err
				}
				return printRevocation(cmd.OutOrStdout(), output, "restored", r)
			})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func printRevocation(w io.Writer, output, done string, r keys.Revocation) error {
	if output == "json" {
		return printJSON(w, r)
	}
	_, err := fmt.Fprintf(w, "%s: %s (revocation %d)\n", done, tokensOf(r), r.ID)
	return err
}

// tokensOf says what a revocation is about.
func tokensOf(r keys.Revocation) string {
	switch {
	case r.TokenID != "":
		return fmt.Sprintf("the token %s of %s", r.TokenID, r.Issuer)
	case r.Subject != "":
		return fmt.Sprintf("tokens of %s of %s issued before %s", r.Subject, r.Issuer, date(r.IssuedBefore))
	default:
		return fmt.Sprintf("tokens of %s issued before %s", r.Issuer, date(r.IssuedBefore))
	}
}

func printRevocations(w io.Writer, all []keys.Revocation) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NUMBER\tISSUER\tJTI\tSUBJECT\tISSUED BEFORE\tUNTIL\tREVOKED\tBY\tWHY")
	for _, r := range all {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Issuer, dash(r.TokenID), dash(r.Subject),
			date(r.IssuedBefore), date(r.Until), date(r.At), dash(r.By), dash(r.Why))
	}
	return table.Flush()
}
