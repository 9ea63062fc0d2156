package main

import (
	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/breakerpolicy"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/plan"
)

// breakers are breakerpolicy.Breakers as the judge wants them.
type breakers struct{ *breakerpolicy.Breakers }

// Admit implements authz.Breaker.
func (b breakers) Admit(route, backend string) authz.Admission {
	a := b.Breakers.Admit(route, backend)
	return authz.Admission{Denied: a.Denied, RetryAfter: a.RetryAfter, Shadow: a.Shadow, Probe: a.Probe}
}

// breakersOf are the breakers of plans by which requests are judged, the newest
// first. Of a backend that several have, the newest says whether it has a breaker and
// which. Only where it has one for each route, those of routes that are no more are
// the older plans'.
func breakersOf(plans []*plan.Plan) map[string]breakerpolicy.Definition {
	all := map[string]breakerpolicy.Definition{}
	newest := map[string]*config.Backend{}
	for _, p := range plans {
		for name, b := range p.Breakers() {
			if n, known := newest[b.Backend]; known {
				perRoute := n.Breaker != nil && n.Breaker.IsPerRoute() && b.Route != ""
				if _, has := all[name]; has || !perRoute {
					continue
				}
			}
			all[name] = breakerpolicy.Definition{Route: b.Route, Backend: b.Backend, Config: b.Config}
		}
		for name, b := range p.Config.Backends {
			if newest[name] == nil {
				newest[name] = b
			}
		}
	}
	return all
}
