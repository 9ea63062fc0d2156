package config

import (
	"fmt"
	"strings"
)

// placements refuses what says that a policy is to run inside Envoy and cannot.
func (c *checker) placements(listeners, routes *place) {
	placer := c.cfg.Placer()
	for i, l := range c.cfg.Listeners {
		at := listeners.index(i).key("placement")
		oneOf(c, at, l.Placement, PlacementAuto, PlacementService, PlacementEnvoy)
		if l.Placement != PlacementEnvoy {
			continue
		}
		c.must(l.RateLimit != RateLimitFilter, at, "cannot be together with rateLimit: filter, which takes its keys from Check")
		for _, r := range c.cfg.Routes {
			if r.Placement == "" {
				c.obey(at, c.cannotRunInEnvoy(r, fmt.Sprintf("route %s ", r.Name), placer))
			}
		}
	}
	for i, r := range c.cfg.Routes {
		at := routes.index(i).key("placement")
		oneOf(c, at, r.Placement, PlacementAuto, PlacementService, PlacementEnvoy)
		if r.Placement != PlacementEnvoy {
			continue
		}
		c.obey(at, c.cannotRunInEnvoy(r, "", placer))
		for _, l := range c.cfg.Listeners {
			switch {
			case l.Placement == PlacementService:
				c.obey(at, fmt.Sprintf("cannot be where listener %s says placement: service", l.Name))
			case l.RateLimit == RateLimitFilter:
				c.obey(at, fmt.Sprintf("cannot be where listener %s says rateLimit: filter", l.Name))
			}
		}
	}
}

// cannotRunInEnvoy is the rule that a route breaks whose policy has to be asked for.
func (c *checker) cannotRunInEnvoy(r *Route, of string, placer *Placer) string {
	if r.Auth == nil { // it is not valid
		return ""
	}
	if why := placer.WhyAsked(r); len(why) > 0 {
		return of + "cannot run inside Envoy: " + strings.Join(why, "; ")
	}
	return ""
}
