package config

import (
	"slices"
	"strings"
)

// darkPrefix begins the names under which the copies for dark canaries are routed and
// logged. No name of a config begins so.
const darkPrefix = ownPrefix + "-dark/"

// DarkCanary is the mirror of the route whose share its rollout moves, and "" where
// there is none: the canary then gets requests, or there is none.
func (r *Route) DarkCanary() string {
	if r.Rollout == nil || slices.ContainsFunc(r.To, func(d *Destination) bool { return d.Backend == r.Rollout.Backend }) {
		return ""
	}
	return r.Rollout.Backend
}

// DarkName is the name under which the copies for the dark canary of a route are
// routed and logged.
func DarkName(route string) string { return darkPrefix + route }

// IsDarkName tells the names of DarkName from those of routes.
func IsDarkName(route string) bool { return strings.HasPrefix(route, darkPrefix) }
