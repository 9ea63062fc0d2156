package xds

import (
	"slices"

	"github.com/gatewright/gatewright/config"
)

// Form is how the routes of a gateway reach an Envoy. A request is answered
// alike in both; what differs is what a change costs.
type Form string

const (
	// Table is one RouteConfiguration with a virtual host for each host (RDS).
	// Envoy builds all of it anew when one route changes.
	Table Form = "table"
	// Scoped is a RouteConfiguration for each host, found by the request's host
	// (SRDS): Envoy builds anew only that of the host that has changed.
	Scoped Form = "scoped"
)

// scopedFrom is how many routes a gateway has before Scoped pays: below, Envoy
// builds the whole table in the time that two messages take.
const scopedFrom = 1000

// FormFor is the form that suits a config.
func FormFor(c *config.Config) Form {
	if len(c.Routes) < scopedFrom || OnlyTable(c) {
		return Table
	}
	hosts := map[string]bool{} // the first two
	for _, r := range c.Routes {
		for _, h := range r.Match.Hosts {
			if !wildcard(h) {
				hosts[h] = true
			}
		}
		if len(hosts) >= 2 {
			return Scoped
		}
	}
	return Table
}

// OnlyTable tells whether there is one form alone in which a config is served well. In
// the form Scoped, a request for a host that no route names, or with capitals in its
// name, finds its table in a second attempt. Envoy has decided by then whether its
// connection may be upgraded, and which filters that are off but for some routes are on
// for it. So there is one table where every host may be upgraded, and where a backend has
// adaptiveConcurrency, a bound that nobody may pass by another spelling of a host, or a
// route speaks gRPC-Web.
func OnlyTable(c *config.Config) bool {
	for _, b := range c.Backends {
		if b.AdaptiveConcurrency != nil {
			return true
		}
	}
	return slices.ContainsFunc(c.Routes, func(r *config.Route) bool {
		return r.GRPCWeb || len(r.Upgrades) > 0 && (len(r.Match.Hosts) == 0 || slices.ContainsFunc(r.Match.Hosts, wildcard))
	})
}
