package config

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Placer tells where the policies of a config can run. What is dear of that, which limits
// can be counted inside Envoy, it finds out once, when somebody asks: so who asks of many
// routes asks one Placer. It may be used by several goroutines; the config must not change.
type Placer struct {
	config *Config
	limits func() map[string]string
}

// Placer is one for this config.
func (c *Config) Placer() *Placer {
	return &Placer{c, sync.OnceValue(c.limitsAsked)}
}

// Knowing is a Placer that knows of more to be said against limits: reasons by their
// names, as of LimitsAsked, which has these then as well.
func (p *Placer) Knowing(more map[string]string) *Placer {
	if len(more) == 0 {
		return p
	}
	return &Placer{p.config, sync.OnceValue(func() map[string]string {
		all := maps.Clone(more)
		maps.Copy(all, p.LimitsAsked())
		return all
	})}
}

// LimitsAsked are the limits that only Gatewright can count, by their names, each with
// the reason, a phrase. All others can be counted inside Envoy. It is not to be changed.
func (p *Placer) LimitsAsked() map[string]string { return p.limits() }

// Runs tells whether a route's policy runs inside the Envoys of listeners that have it
// do so. One that asks for nothing runs anywhere.
func (p *Placer) Runs(r *Route) bool {
	return p.config.runsBesideLimits(r) && !slices.ContainsFunc(r.Limits, func(name string) bool { return p.limits()[name] != "" })
}

// WhyAsked is why requests of a route have to be asked about, each reason a phrase; none
// where its policy can run inside Envoy.
func (p *Placer) WhyAsked(r *Route) []string {
	why := p.config.whyBesideLimits(r)
	for _, name := range r.Limits {
		if reason := p.limits()[name]; reason != "" {
			why = append(why, fmt.Sprintf("limit %s %s", name, reason))
		}
	}
	return why
}

// WhyAskedOn is why every request of a route is asked about on a listener, each reason a
// phrase. None: what surely passes is let pass inside Envoy there. It is of routes that
// have something to be judged by; about the requests of others nobody is asked.
func (p *Placer) WhyAskedOn(l *Listener, r *Route) []string {
	var why []string
	switch {
	case l.RateLimit == RateLimitFilter:
		why = append(why, fmt.Sprintf("listener %s says rateLimit: filter, which takes its keys from Check", l.Name))
	case l.Placement == PlacementService:
		why = append(why, fmt.Sprintf("listener %s says placement: service", l.Name))
	case r.Placement == PlacementService:
		why = append(why, "the route says placement: service")
	case p.config.NobodyToLetPass(l, r):
		why = append(why, fmt.Sprintf("listener %s asks clients for no certificates", l.Name))
	}
	return append(why, p.WhyAsked(r)...)
}
