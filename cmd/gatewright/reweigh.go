package main

import "context"

// followRollouts serves the weights of rollouts whenever they move, until the context
// ends.
func (svc *service) followRollouts(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-svc.rollouts.Moved():
			svc.reweigh(ctx)
		}
	}
}

// reweigh serves the config that is served with the weights that its rollouts have
// now. It goes the way of a change of the config, and is none: the config's own
// state stays as it is.
func (svc *service) reweigh(ctx context.Context) { svc.compileAnew(ctx, "the weights of rollouts") }

// compileAnew serves the config that is served as it is compiled now, where that is
// another plan: what has changed is the reason, in words.
func (svc *service) compileAnew(ctx context.Context, what string) {
	if svc.enter(ctx) != nil {
		return // the end
	}
	defer svc.leave()
	if svc.base == nil {
		return // what is served first has them
	}
	next, err := svc.compile(svc.base)
	if err != nil {
		svc.log.Error("what has changed is not served", "what", what, "error", err)
		return
	}
	if next.Version == svc.plan.Load().Version {
		return
	}
	files, resources, err := svc.withSecrets(next)
	if err != nil {
		svc.log.Error("what has changed is not served", "what", what, "error", err)
		return
	}
	settled, err := svc.publish(ctx, next, files, resources)
	switch {
	case err != nil && ctx.Err() != nil:
	case err != nil:
		svc.log.Error("what has changed is not served", "what", what, "error", err)
	case len(svc.setAside) > 0:
		svc.tellSetAside()
	default:
		svc.log.Info("what has changed is served", "what", what, "version", next.Version)
		if settled {
			svc.settle(ctx)
		}
	}
}
