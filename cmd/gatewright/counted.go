package main

import (
	"context"
	"time"

	"github.com/gatewright/gatewright/internal/plan"
)

// countedPoll is how often it is looked whether the limits that run inside Envoy are still
// those that can: an Envoy has come that cannot be told its share, there are more of them
// than a limit holds, or a tenant has numbers of its own.
const countedPoll = 500 * time.Millisecond

// followCounted compiles the config that is served anew whenever other limits can run
// inside Envoy, until the context ends.
func (svc *service) followCounted(ctx context.Context) error {
	tick := time.NewTicker(countedPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		p := svc.plan.Load()
		if p != nil && !p.CountsAlike(plan.Options{Fleet: svc.xds.Fleet(), Resized: svc.customers.Resizes}) {
			svc.compileAnew(ctx, "the limits that run inside Envoy")
		}
	}
}
