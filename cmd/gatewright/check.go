package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/discovery"
	"github.com/gatewright/gatewright/internal/plan"
)

func newCheck() *cobra.Command {
	var output string
	var limits bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a config: every fault with its line, its value and the rule",
		Example: `  gatewright check gateway.yaml
  gatewright check gateway.yaml -o json
  gatewright check --ratelimit limits/`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limits {
				return checkLimitFiles(cmd.OutOrStdout(), args[0], output)
			}
			p, err := compile(args[0])
			if output == "json" {
				return errors.Join(err, printCheck(cmd.OutOrStdout(), p, err))
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok, %s, version %s\n", args[0], contents(p.Config), p.Version)
			return nil
		},
	}
	outputFlag(cmd, &output)
	cmd.Flags().BoolVar(&limits, "ratelimit", false, "FILE is a folder of envoyproxy/ratelimit's configuration files (GATEWRIGHT_RATELIMIT_CONFIG_DIR)")
	return cmd
}

// compile loads and compiles a config file, of which the files of endpoints are good.
func compile(path string) (*plan.Plan, error) {
	c, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	if _, err := discovery.ReadFiles(c); err != nil {
		return nil, err
	}
	return plan.Compile(c, plan.Options{})
}

func contents(c *config.Config) string {
	return fmt.Sprintf("%s, %s, %s", count(len(c.Listeners), "listener"), count(len(c.Backends), "backend"), count(len(c.Routes), "route"))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func printCheck(w io.Writer, p *plan.Plan, err error) error {
	if p == nil {
		return printFaults(w, "", err)
	}
	return printFaults(w, p.Version, err)
}

func printFaults(w io.Writer, version string, err error) error {
	report := struct {
		OK      bool           `json:"ok"`
		Version string         `json:"version,omitempty"`
		Faults  []config.Fault `json:"faults,omitempty"`
	}{OK: err == nil, Version: version}
	_ = errors.As(err, (*config.Faults)(&report.Faults)) // an error of another kind is told on stderr
	return printJSON(w, report)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

// outputFlag adds -o to a command.
func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "text or json")
	before := cmd.PreRunE
	cmd.PreRunE = func(c *cobra.Command, args []string) error {
		if *output != "text" && *output != "json" {
			return usageError{fmt.Errorf("-o %s: want text or json", *output)}
		}
		if before != nil {
			return before(c, args)
		}
		return nil
	}
}
