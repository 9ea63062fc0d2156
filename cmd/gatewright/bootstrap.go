package main

import (
	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/envoy"
	"github.com/gatewright/gatewright/xds"
)

func newBootstrap() *cobra.Command {
	var control, node, admin string
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Show the bootstrap of an Envoy that has its config from this Gatewright",
		Example: `  gatewright bootstrap > envoy.yaml && envoy -c envoy.yaml
  gatewright bootstrap --control gatewright.internal:9001 --node edge-7`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings()
			if err != nil {
				return err
			}
			if control == "" {
				control = s.process.GRPCAddr
			}
			if node == "" {
				node = s.envoy.NodeID
			}
			out, err := envoy.BootstrapYAML(envoy.BootstrapOptions{
				NodeID: node, ControlCluster: xds.ControlCluster, ControlAddr: control, Admin: admin,
			})
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
	cmd.Flags().StringVar(&control, "control", "", "Gatewright's gRPC address, as Envoy reaches it (default GATEWRIGHT_GRPC_ADDR)")
	cmd.Flags().StringVar(&node, "node", "", "Envoy's node id (default GATEWRIGHT_NODE_ID)")
	cmd.Flags().StringVar(&admin, "admin", "127.0.0.1:9901", "where Envoy's admin interface listens; keep it private")
	return cmd
}
