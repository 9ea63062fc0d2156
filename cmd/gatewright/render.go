package main

import (
	"github.com/spf13/cobra"
)

func newRender() *cobra.Command {
	return &cobra.Command{
		Use:     "render FILE",
		Short:   "Show the Envoy resources that a config compiles to, as YAML",
		Example: `  gatewright render gateway.yaml | less`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := compile(args[0])
			if err != nil {
				return err
			}
			out, err := p.Resources.YAML()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
}
