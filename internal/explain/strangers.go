package explain

import (
	"context"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// strangersLimits are the limits that a request is charged which no route takes.
// route is the name under which the gateway answers it.
func strangersLimits(ctx context.Context, judge *authz.Server, c *config.Config, route string, asked Asked) []Limit {
	policy := authz.NewStrangersPolicy(c)
	x := judge.Examine(ctx, policy, authz.Examined{Route: route, Method: asked.Method, Host: asked.Host, Path: asked.Path, Headers: asked.Headers, ClientIP: asked.ClientIP})
	return limits(policy, x, asked)
}

// answeredByRoute tells an answer of the gateway's own routes, which strangers
// are charged for, from those of Envoy's: these have no reason of ours, or are
// of CONNECT, which no route takes.
func answeredByRoute(asked Asked, a *Answer) bool { return a.Reason != "" && asked.Method != "CONNECT" }
