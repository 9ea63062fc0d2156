package main

import (
	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/internal/certs"
	"github.com/gatewright/gatewright/internal/discovery"
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
			// The commands read the files of a config as it is loaded; no key is shown.
			files, err := certs.Load(p.Config)
			if err != nil {
				return err
			}
			resources, err := p.Resources.With(secrets(files), nil)
			if err != nil {
				return err
			}
			endpoints, err := discovery.ReadFiles(p.Config) // Consul is not asked
			if err != nil {
				return err
			}
			if resources, err = resources.WithEndpoints(p.Config, endpoints); err != nil {
				return err
			}
			out, err := resources.YAML()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
}
