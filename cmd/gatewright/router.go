package main

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/routing"
	"github.com/gatewright/gatewright/xds"
)

// router finds the routes of requests whose Envoy names none, in the plan that
// is served. The zero value has no plan.
//
// Its table costs memory, and half a second for 100 000 routes, so there is none
// until such a request comes. From then on each plan that is served has its
// table from the beginning: requests have waited once, and go on by the table
// before until the next one is there.
type router struct {
	served atomic.Pointer[routes]
	// wanted is set by the first request.
	wanted atomic.Bool
}

// routes are a plan and its table, so that a request is judged by the policy of
// the plan in which its route was found.
type routes struct {
	plan *plan.Plan
	own  []string
	// begun is set by whoever builds the table; built is closed when it is there.
	begun atomic.Bool
	built chan struct{}
	table *routing.Table
}

// serve makes a plan the one that routes are found in.
func (r *router) serve(p *plan.Plan) {
	next := &routes{plan: p, own: xds.IdentityHeaders(p.Config), built: make(chan struct{})}
	if r.wanted.Load() {
		next.build()
	}
	r.served.Store(next)
}

// errNoTable: no config has been served yet, or its table could not be built.
var errNoTable = errors.New("there is no route table")

// Route implements authz.Router.
func (r *router) Route(ctx context.Context, asked authz.Unrouted) (authz.Routed, error) {
	routes := r.served.Load()
	if routes == nil {
		return authz.Routed{}, errNoTable
	}
	r.wanted.Store(true)
	if err := routes.await(ctx); err != nil {
		return authz.Routed{}, err
	}
	return routes.find(asked)
}

// build builds the table, unless somebody else has begun to.
func (r *routes) build() {
	if r.begun.CompareAndSwap(false, true) {
		defer close(r.built)
		r.table = routing.NewTable(r.plan.Config)
	}
}

// await waits for the table. The first who does builds it.
func (r *routes) await(ctx context.Context) error {
	r.build()
	select {
	case <-r.built:
	default:
		select {
		case <-r.built:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if r.table == nil {
		return errNoTable
	}
	return nil
}

func (r *routes) find(asked authz.Unrouted) (authz.Routed, error) {
	request, err := routing.NormalizeStrictly(routing.Request{
		Host: asked.Host, Method: asked.Method, Path: asked.Path,
		Header: func(name string) (string, bool) {
			if slices.Contains(r.own, name) {
				return "", false
			}
			return asked.Header(name)
		},
	})
	if err != nil {
		return authz.Routed{PathRefused: true}, nil
	}
	if !routing.IsPlainHost(asked.Host) {
		return authz.Routed{HostRefused: true}, nil
	}
	route := r.table.Find(request)
	if route == nil {
		policy, hash := r.plan.StrangersPolicy()
		if policy == nil {
			return authz.Routed{}, nil
		}
		return authz.Routed{Route: xds.NotFoundRoute, Policy: policy, Hash: hash, Own: r.own}, nil
	}
	policy, hash := r.plan.PolicyOf(route)
	return authz.Routed{Route: route.Name, Policy: policy, Hash: hash, Own: r.own}, nil
}
