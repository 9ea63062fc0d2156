package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/keys"
)

func newKeysImport() *cobra.Command {
	var format, output string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take over the API keys of another program, all or none",
		Long: `Take over the API keys of another program: all that are in FILE, or none; each
fault is told with its line. Callers go on with the keys that they have.

FILE is CSV, whose first line names the columns, or JSON lines; - is standard
input. The fields are name, and key (its text) or sha256 (that of its text, in
hexadecimal), and as wanted owner, tenant, permissions, labels, expiresAt. In CSV
permissions are separated by spaces, and labels, as name=value, too.

A text has 16 to 512 bytes of printable ASCII. The database keeps its keyed hash
only; FILE holds it, so remove FILE when you are done.`,
		Example: `  gatewright keys import partners.csv
  gatewright keys import - --format jsonl -o json < partners.jsonl`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			imports, err := readImports(args[0], format, cmd.InOrStdin())
			if err != nil {
				return err
			}
			return withKeys(cmd.Context(), func(store *keys.Store) error {
				records, err := store.Import(cmd.Context(), imports)
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), records)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "imported %s; `gatewright keys list` shows their ids\n", count(len(records), "key"))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "csv or jsonl (default: by FILE's name)")
	outputFlag(cmd, &output)
	return cmd
}

func readImports(path, format string, stdin io.Reader) ([]keys.Import, error) {
	if format == "" {
		format = map[string]string{".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}[filepath.Ext(path)]
	}
	if format != "csv" && format != "jsonl" {
		return nil, usageError{errors.New("--format: must be csv or jsonl where the name of FILE does not end in .csv, .jsonl or .ndjson")}
	}
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("importing keys: %w", err)
		}
		defer file.Close() // it was only read
		in = file
	}
	read := keys.ReadCSV
	if format == "jsonl" {
		read = keys.ReadJSONLines
	}
	imports, err := read(in)
	if err != nil {
		return nil, fmt.Errorf("importing keys: nothing is imported\n%w", err)
	}
	return imports, nil
}
