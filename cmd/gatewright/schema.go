package main

import (
	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/config"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Show the JSON Schema of the config language, for editors",
		Example: `  gatewright schema > gateway.schema.json
  # first line of gateway.yaml:
  # yaml-language-server: $schema=gateway.schema.json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema())
			return err
		},
	}
}
