package config

import (
	"maps"
	"slices"
)

// Envoy picks a request's backend before anybody is asked who the caller is, and
// whether the backend is well. Where it depends on that, Check says the backend
// once more.

// Fallback is the backend that takes the requests of b while its breaker is
// open, or none.
func (b *Backend) Fallback() string {
	if b == nil || b.Breaker == nil || b.Breaker.Fallback == nil {
		return ""
	}
	return b.Breaker.Fallback.Backend
}

// ReroutesTo are the backends that Check may send a request of the route to in
// place of the one that Envoy has picked, sorted; none for most routes.
func (c *Config) ReroutesTo(r *Route) []string {
	to := map[string]bool{}
	byCaller := r.KeptByCaller() || r.PinnedByClaim()
	for _, d := range r.To {
		if byCaller {
			to[d.Backend] = true
		}
		if fallback := c.Backends[d.Backend].Fallback(); fallback != "" {
			to[fallback] = true
		}
	}
	return slices.Sorted(maps.Keys(to))
}

// Reroutes tells whether Check may send requests of some route elsewhere.
func (c *Config) Reroutes() bool {
	failing := map[string]bool{} // backends that have a fallback
	for name, b := range c.Backends {
		if b.Fallback() != "" {
			failing[name] = true
		}
	}
	return slices.ContainsFunc(c.Routes, func(r *Route) bool {
		return r.KeptByCaller() || r.PinnedByClaim() ||
			len(failing) > 0 && slices.ContainsFunc(r.To, func(to *Destination) bool { return failing[to.Backend] })
	})
}
