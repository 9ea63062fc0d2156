package authz

import (
	"cmp"
	"slices"

	"github.com/gatewright/gatewright/config"
)

// Envoy has picked a backend before it asks, and remembers it with the route. To
// have the request go elsewhere, a verdict sets config.RerouteHeader, which has
// Envoy look for the route once more: under the header's value it finds the
// route's way to that backend, whatever else of the request has changed.

// backend is the one that the request goes to: to ask its breaker, and to count.
func (v *Verdict) backend(rq *request) string { return cmp.Or(v.Reroute, rq.backend) }

// rerouted is a verdict that tells Envoy of the backend where it is another than
// Envoy's. Envoy looks for the route also where a parameter is taken out of the
// query. It must then find the same one, and not another one's that the changed
// request fits.
func (v Verdict) rerouted(rq *request, p *Policy) Verdict {
	away := v.Reroute != "" && v.Reroute != rq.backend
	if v.Reason == ReasonAllowed && (away || p.Holds && len(v.removeQuery) > 0) {
		to := header{config.RerouteHeader, config.RerouteKey(rq.route, v.backend(rq))}
		v.headers = append(slices.Clip(v.headers), to)
	}
	return v
}
