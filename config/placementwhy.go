package config

import "fmt"

// WhyAskedOn is why every request of a route is asked about on a listener, each reason a
// phrase. None: what surely passes is let pass inside Envoy there. It is of routes that
// have something to be judged by; about the requests of others nobody is asked.
func (c *Config) WhyAskedOn(l *Listener, r *Route) []string {
	return c.WhyAskedWithLimits(l, r, c.LimitsAsked())
}

// WhyAskedWithLimits is WhyAskedOn for who asks of many routes: limits are the result of
// LimitsAsked, or of who knows of more that is to be said against a limit.
func (c *Config) WhyAskedWithLimits(l *Listener, r *Route, limits map[string]string) []string {
	var why []string
	switch {
	case l.RateLimit == RateLimitFilter:
		why = append(why, fmt.Sprintf("listener %s says rateLimit: filter, which takes its keys from Check", l.Name))
	case l.Placement == PlacementService:
		why = append(why, fmt.Sprintf("listener %s says placement: service", l.Name))
	case r.Placement == PlacementService:
		why = append(why, "the route says placement: service")
	}
	why = append(why, c.whyWithLimits(r, limits)...)
	if len(why) == 0 && !c.RunsWithLimits(r, limits) {
		why = append(why, "it is public: no token says who may pass")
	}
	return why
}
