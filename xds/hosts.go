package xds

import (
	"slices"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// everyHost is the domain of the virtual host for requests whose host no route
// names.
const everyHost = "*"

// hostRoutes are the routes of a config by the hosts that they serve. A route
// without hosts serves each host, and one with *.suffix each below it: once
// Envoy has chosen a virtual host it looks into no other.
type hostRoutes struct {
	named map[string][]*config.Route // by domain, as the config names it
	every []*config.Route            // those without hosts
	// wild are the domains of the form *.suffix.
	wild []string
}

func routesByHost(c *config.Config) hostRoutes {
	h := hostRoutes{named: map[string][]*config.Route{}}
	for _, r := range c.Routes {
		if len(r.Match.Hosts) == 0 {
			h.every = append(h.every, r)
		}
		for _, host := range r.Match.Hosts {
			host = strings.ToLower(host)
			h.named[host] = append(h.named[host], r)
		}
	}
	for domain := range h.named {
		if wildcard(domain) {
			h.wild = append(h.wild, domain)
		}
	}
	slices.Sort(h.wild)
	return h
}

// domains are the virtual hosts: every host that a route names, in order, and
// every other one.
func (h hostRoutes) domains() []string { return append(sortedKeys(h.named), everyHost) }

// serving are the routes of a virtual host, in no order that means anything,
// but always the same one.
func (h hostRoutes) serving(domain string) []*config.Route {
	if domain == everyHost {
		return h.every
	}
	out := slices.Concat(h.every, h.named[domain])
	several := false
	for _, wild := range covering(domain) {
		if routes := h.named[wild]; len(routes) > 0 {
			out = append(out, routes...)
			several = true
		}
	}
	if several {
		out = distinct(out) // a route may name a host and its suffix
	}
	return out
}

// covering are the domains of the form *.suffix that take a domain, but for
// itself: the longest suffix first.
func covering(domain string) []string {
	var out []string
	_, suffix, found := strings.Cut(strings.TrimPrefix(domain, "*."), ".")
	for found {
		out = append(out, "*."+suffix)
		_, suffix, found = strings.Cut(suffix, ".")
	}
	return out
}

// distinct leaves the first of those that are listed twice.
func distinct(routes []*config.Route) []*config.Route {
	seen := make(map[*config.Route]bool, len(routes))
	return slices.DeleteFunc(routes, func(r *config.Route) bool {
		again := seen[r]
		seen[r] = true
		return again
	})
}

func wildcard(host string) bool { return strings.HasPrefix(host, "*.") }
