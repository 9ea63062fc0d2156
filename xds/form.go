package xds

import (
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

// FormFor is the form that suits a config. A request for a host that no route
// names finds its table in a second attempt, when Envoy has already decided
// whether its connection may be upgraded: where it may, there is one table.
func FormFor(c *config.Config) Form {
	if len(c.Routes) < scopedFrom {
		return Table
	}
	hosts := map[string]bool{} // the first two
	for _, r := range c.Routes {
		everyHost := len(r.Match.Hosts) == 0
		for _, h := range r.Match.Hosts {
			if wildcard(h) {
				everyHost = true
			} else if len(hosts) < 2 {
				hosts[h] = true
			}
		}
		if everyHost && len(r.Upgrades) > 0 {
			return Table
		}
	}
	if len(hosts) < 2 {
		return Table
	}
	return Scoped
}
