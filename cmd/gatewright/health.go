package main

import (
	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/internal/health"
)

func newHealth() *cobra.Command {
	return &cobra.Command{
		Use:   "health [URL]",
		Short: "Ask whether a gateway is ready: the probe of containers without a shell",
		Long: `Ask whether the gateway on this machine is ready: it serves a config and, where it
runs an Envoy, that Envoy is live. With a URL, that is asked instead.

Exit codes: 0 it answers 200; 1 it does not; 2 the command line was wrong.`,
		Example: `  gatewright health
  gatewright health http://127.0.0.1:9901/ready`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return health.Check(cmd.Context(), args[0])
			}
			s, err := loadSettings()
			if err != nil {
				return err
			}
			return health.Check(cmd.Context(), "http://"+s.console.Addr+"/readyz") // 0.0.0.0 is dialled as this machine
		},
	}
}
