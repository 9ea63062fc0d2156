package plan

import (
	"encoding/json"
	"fmt"

	"github.com/gatewright/gatewright/config"
)

// Breaker is one of the plan's breakers.
type Breaker struct {
	// Route is the route whose requests it is for; empty: those of all routes.
	Route string
	// Backend is the backend that they go to.
	Backend string
	// Config is when it opens and closes.
	Config *config.Breaker
}

// Breakers are those of the plan's backends, by name (config.Breaker.NameFor).
func (p *Plan) Breakers() map[string]Breaker {
	all := map[string]Breaker{}
	for name, b := range p.Config.Backends {
		if b.Breaker != nil && !b.Breaker.IsPerRoute() {
			all[name] = Breaker{Backend: name, Config: b.Breaker}
		}
	}
	for _, r := range p.Config.Routes {
		for _, to := range r.To {
			p.addPerRoute(all, r, to.Backend)
			p.addPerRoute(all, r, p.Config.Backends[to.Backend].Fallback())
		}
	}
	return all
}

// addPerRoute adds the breaker of a route alone in front of a backend, if there is one.
func (p *Plan) addPerRoute(all map[string]Breaker, r *config.Route, backend string) {
	if b := p.Config.Backends[backend]; b != nil && b.Breaker != nil && b.Breaker.IsPerRoute() {
		all[b.Breaker.NameFor(r.Name, backend)] = Breaker{Route: r.Name, Backend: backend, Config: b.Breaker}
	}
}

// breakersVersion is what the breakers add to a plan's version; nothing where it has
// none. When they open is in no resource.
func (p *Plan) breakersVersion() []string {
	var parts []string
	for name, b := range p.Breakers() {
		definition, err := json.Marshal(b.Config)
		if err != nil {
			panic(fmt.Sprintf("breaker %s has no JSON: %v", name, err)) // numbers and texts have
		}
		parts = append(parts, fmt.Sprintf("breaker %q %s", name, definition))
	}
	return parts
}
