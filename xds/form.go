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

// FormFor is the form that suits a config.
func FormFor(c *config.Config) Form {
	if len(c.Routes) < scopedFrom {
		return Table
	}
	first := ""
	for _, r := range c.Routes {
		for _, h := range r.Match.Hosts {
			switch {
			case wildcard(h):
			case first == "":
				first = h
			case first != h:
				return Scoped
			}
		}
	}
	return Table
}
