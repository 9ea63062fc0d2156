package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"text/tabwriter"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/discovery"
)

// newDiscovery is what knows where the backends are that the config does not place. A
// Consul that cannot be asked is a fault where a config needs it, and not before.
func (svc *service) newDiscovery() *discovery.Store {
	return discovery.NewStore(discovery.Options{
		Log: svc.logs.Of("discovery"), Registerer: svc.registry,
		Folder: filepath.Join(svc.settings.process.StateDir, "endpoints"),
		Consul: sync.OnceValues(svc.settings.store.CatalogueClient),
	})
}

// prepareDiscovery has the endpoints known that a config needs. A change of which some
// backend would begin without any is refused: requests would fail that do not now. At
// the start there is nothing that could be served in its stead.
func (svc *service) prepareDiscovery(ctx context.Context, c *config.Config, first bool) error {
	err := svc.discovered.Prepare(ctx, c)
	switch {
	case err == nil:
		return nil
	case first:
		svc.log.Error("backends have no endpoints yet; their requests get 503 until they are known", "error", err)
		return nil
	}
	svc.discovered.Serve(svc.plan.Load().Config) // and nothing else goes on being asked
	return fmt.Errorf("endpoints that the change needs are not known: %w", err)
}

// followDiscovery serves endpoints whenever they are others than before, until the
// context ends.
func (svc *service) followDiscovery(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-svc.discovered.Moved():
			svc.renew(ctx)
		}
	}
}

// printDiscovery shows how the backends stand whose endpoints are discovered.
func printDiscovery(w io.Writer, all []discovery.Status) error {
	if len(all) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DISCOVERED\tSOURCE\tENDPOINTS\tSTATE")
	for _, d := range all {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", d.Backend, oneLine(d.Source), d.Endpoints, discoveryState(d))
	}
	return table.Flush()
}

// discoveryState is since when the endpoints are known, and what is wrong with the
// newest word of their source.
func discoveryState(d discovery.Status) string {
	state := "from an earlier run"
	switch {
	case d.ConfirmedAt != nil:
		state = "as of " + date(*d.ConfirmedAt)
	case d.Endpoints == 0:
		state = "not known yet"
	}
	if d.Fault != "" {
		state += "; what the source says now is not served: " + oneLine(d.Fault)
	}
	return state
}
