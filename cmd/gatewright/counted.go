package main

import (
	"context"
	"time"

	"github.com/gatewright/gatewright/internal/plan"
)

// countedPoll is how often it is looked whether the limits that run inside Envoy are still
// those that can: there are more Envoys than a limit holds, a tenant has numbers of its own,
// or one has gone that could not be told its share. (For one that comes it is looked at
// once, before it gets anything.)
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
		svc.countWhereItCan(ctx)
	}
}

// countWhereItCan serves the config anew if other limits can run inside Envoy than do.
func (svc *service) countWhereItCan(ctx context.Context) {
	p := svc.plan.Load()
	if p != nil && !p.CountsAlike(plan.Options{Fleet: svc.xds.Fleet(), Resized: svc.customers.Resizes}) {
		svc.compileAnew(ctx, "the limits that run inside Envoy")
	}
}
