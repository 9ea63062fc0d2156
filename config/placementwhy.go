package config

import "fmt"

// WhyAskedOn is why every request of a route is asked about on a listener, each reason a
// phrase. None: what surely passes is let pass inside Envoy there. It is of routes that
// have something to be judged by; about the requests of others nobody is asked.
func (c *Config) WhyAskedOn(l *Listener, r *Route) []string {
	var why []string
	switch {
	case l.RateLimit == RateLimitFilter:
		why = append(why, fmt.Sprintf("listener %s says rateLimit: filter, which takes its keys from Check", l.Name))
	case l.Placement == PlacementService:
		why = append(why, fmt.Sprintf("listener %s says placement: service", l.Name))
	case r.Placement == PlacementService:
		why = append(why, "the route says placement: service")
	}
	why = append(why, c.WhyAsked(r)...)
	if len(why) == 0 && !c.RunsInEnvoy(r) {
		why = append(why, "it is public: no token says who may pass")
	}
	return why
}
