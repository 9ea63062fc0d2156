package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// leastFill is the least time over which Envoy takes a rate.
const leastFill = 50 * time.Millisecond

// mostInEnvoy is the largest bucket that Envoy takes.
const mostInEnvoy = 1<<32 - 1

// mostKeyParts bounds the parts of a key in Envoy that a request may lack: each set of
// those that it has is a rule of its own there.
const mostKeyParts = 3

// limitsAsked is Placer.LimitsAsked. A limit is counted in one place, whatever route
// charges it: in two it would admit twice as much.
func (c *Config) limitsAsked() map[string]string {
	why := map[string]string{}
	everywhere := c.whyCountedOnce()
	for name, l := range c.Limits {
		if l == nil {
			continue // it is not valid
		}
		if reason := cmp.Or(everywhere, l.whyAsked()); reason != "" {
			why[name] = reason
		}
	}
	add := func(name, reason string) {
		if why[name] == "" && reason != "" {
			why[name] = reason
		}
	}
	if c.Strangers != nil {
		for _, name := range c.Strangers.Limits {
			add(name, "is charged for requests that no route takes")
		}
	}
	users := map[string]string{} // the provider whose users a limit counts
	for _, r := range c.Routes {
		if len(r.Limits) == 0 {
			continue
		}
		reason := ""
		switch {
		case len(r.Limits) > 1:
			reason = fmt.Sprintf("is one of several on route %s, of which all are charged or none", r.Name)
		case !c.runsBesideLimits(r):
			reason = fmt.Sprintf("is charged on route %s, about which Gatewright is asked", r.Name)
		}
		for _, name := range r.Limits {
			add(name, reason)
			add(name, c.whyOnRoute(r, c.Limits[name], users))
		}
	}
	return why
}

// whyCountedOnce is why no limit can be counted inside Envoy, where there are several
// places in which it would be: each chain of filters counts for itself.
func (c *Config) whyCountedOnce() string {
	chains := 0
	for _, l := range c.Listeners {
		switch {
		case l.RedirectToHTTPS != nil:
			continue
		case l.Placement == PlacementService, l.RateLimit == RateLimitFilter:
			return fmt.Sprintf("is counted for listener %s, which has Gatewright asked", l.Name)
		case l.HTTP3:
			return fmt.Sprintf("would be counted apart for HTTP/3 on listener %s", l.Name)
		case len(c.ProxiesOf(l)) > 0:
			return fmt.Sprintf("would be counted apart for the proxies of listener %s", l.Name)
		}
		if chains++; chains > 1 {
			return "would be counted apart by each listener"
		}
	}
	return ""
}

// whyAsked is why no route can have the limit counted inside Envoy.
func (l *Limit) whyAsked() string {
	switch {
	case l.TokenBucket == nil:
		return "is no tokenBucket"
	case l.Consistency != Sync:
		return fmt.Sprintf("is %s among all, and not consistency: sync", cmp.Or(l.Consistency, Exact))
	case l.OnStoreFailure != "" && l.OnStoreFailure != FailLocal:
		return fmt.Sprintf("has onStoreFailure: %s, and Envoy has no store", l.OnStoreFailure)
	case l.InShadow():
		return "is in shadow, and what it would deny is counted"
	case len(l.Plans) > 0:
		return "has plans"
	case l.Cost.Varies():
		return "has a cost that each request says"
	case l.TokenBucket.Capacity > mostInEnvoy || l.TokenBucket.Refill.Events > mostInEnvoy || l.TokenBucket.Refill.Per < leastFill:
		return "is larger than Envoy counts"
	}
	missing := 0
	for _, part := range l.Key {
		name, claim := part.Claim()
		switch {
		case part == KeyClientIP, part == KeyRoute:
		case part == KeyUser, part == KeyTenant, claim && !strings.Contains(name, "."):
			missing++
		default:
			return fmt.Sprintf("counts by %s", part)
		}
	}
	if missing > mostKeyParts {
		return fmt.Sprintf("counts by more than %d properties of the caller", mostKeyParts)
	}
	return ""
}

// whyOnRoute is why a limit cannot be counted inside Envoy as it is charged on a route.
// users has the provider whose users each limit counts.
func (c *Config) whyOnRoute(r *Route, l *Limit, users map[string]string) string {
	if l == nil {
		return ""
	}
	if r.Auth != nil && !r.Auth.Public && !l.OfCaller() {
		return fmt.Sprintf("is charged for callers who are not known, too, on route %s", r.Name)
	}
	if !slices.Contains(l.Key, KeyUser) || r.Auth == nil {
		return ""
	}
	for _, q := range r.Auth.AnyOf {
		if q.JWT == "" {
			continue
		}
		if other := users[l.Name]; other != "" && other != q.JWT {
			return fmt.Sprintf("counts users of jwt %s and of %s", other, q.JWT)
		}
		users[l.Name] = q.JWT
	}
	return ""
}
