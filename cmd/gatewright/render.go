package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/internal/certs"
	"github.com/gatewright/gatewright/internal/discovery"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/xds"
)

func newRender() *cobra.Command {
	return &cobra.Command{
		Use:   "render FILE",
		Short: "Show the Envoy resources that a config compiles to, as YAML",
		Long: `Shows the Envoy resources that a config compiles to, as YAML. Nothing is asked
over the network: policies inside Envoy are shown with the keys of issuers whose
keys are in the config or in a file, and a comment names the others, whose tokens
are asked about in what is shown. Private keys are left out.`,
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
			resources, notes, err := withKeysAtHand(cmd.Context(), p, resources)
			if err != nil {
				return err
			}
			out, err := resources.YAML()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s%s", notes, out)
			return err
		},
	}
}

// withKeysAtHand are resources with the policies inside Envoy as they are while all is
// well, as far as it can be told without a network; and comments on what cannot be.
func withKeysAtHand(ctx context.Context, p *plan.Plan, r xds.Resources) (xds.Resources, string, error) {
	if !p.RunsInEnvoy() {
		return r, "", nil
	}
	sets := authz.NewKeySets(authz.KeySetsOptions{})
	defer sets.Close()
	sets.Ensure(ctx, atHand(p.Config))
	state := xds.PlacedState{Version: p.Version, Open: map[string]bool{}}
	addKeys(&state, p, sets, time.Now())
	r, err := r.WithPlaced(p.Placed(), state)
	if err != nil {
		return nil, "", fmt.Errorf("making filters of policies: %w", err)
	}
	return r, keysNotShown(p, state), nil
}

// keysNotShown are comments that name the providers whose keys are not at hand.
func keysNotShown(p *plan.Plan, state xds.PlacedState) string {
	var names []string
	for _, policy := range p.Placed() {
		for _, c := range policy.Callers {
			if len(state.Keys[c.Key]) == 0 && !slices.Contains(names, c.Provider.Name) {
				names = append(names, c.Provider.Name)
			}
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("# Without keys of %s, which a running gateway fetches: in what follows all their tokens are asked about.\n", strings.Join(names, ", "))
}
