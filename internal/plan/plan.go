// Package plan compiles a valid config into everything that is served from it.
// It is pure: no clock, no log, no I/O; the same config gives the same plan on
// every instance.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/breakerpolicy"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/xds"
)

// Plan is one version of a gateway. It is immutable.
type Plan struct {
	// Version is a hash over all that the plan serves: plans of equal content
	// have equal versions.
	Version string
	// Config is what the plan was compiled from.
	Config *config.Config
	// Resources are what Envoy is given.
	Resources xds.Resources
	// Policies are what routes ask of requests, by their hash, which is what
	// the routes in Resources name them by.
	Policies map[string]*authz.Policy

	routes map[string]bool // the names of its routes
}

// Compile returns the plan for a valid config: all of it, or an error.
func Compile(c *config.Config) (*Plan, error) {
	policies := newPolicySet(c)
	resources, err := xds.Build(c, xds.Policies{
		Decide:           policies.decide,
		Thresholds:       breakerpolicy.Thresholds,
		OutlierDetection: breakerpolicy.OutlierDetection,
	})
	if err != nil {
		return nil, fmt.Errorf("compiling the config: %w", err)
	}
	return &Plan{
		Version:   version(resources, policies.byHash),
		Config:    c,
		Resources: resources,
		Policies:  policies.byHash,
		routes:    routeSet(c),
	}, nil
}

func routeSet(c *config.Config) map[string]bool {
	out := make(map[string]bool, len(c.Routes))
	for _, r := range c.Routes {
		out[r.Name] = true
	}
	return out
}

// policySet holds the policy of every route, each compiled once.
type policySet struct {
	decisions map[routeKey]xds.Decision
	byHash    map[string]*authz.Policy
}

type routeKey struct {
	route     string
	placement config.RateLimitPlacement
}

func newPolicySet(c *config.Config) policySet {
	s := policySet{decisions: map[routeKey]xds.Decision{}, byHash: map[string]*authz.Policy{}}
	for _, r := range c.Routes {
		for _, placement := range []config.RateLimitPlacement{config.RateLimitService, config.RateLimitFilter} {
			// Envoy's ratelimit filter reads the limits of a forwarding action: a
			// route that answers by itself has none, and would be counted by nobody.
			inFilter := placement == config.RateLimitFilter && len(r.To) > 0
			policy := authz.NewPolicy(c, r, inFilter)
			d := xds.Decision{Needed: policy.Needed()}
			if d.Needed {
				d.Policy = policy.Hash()
				s.byHash[d.Policy] = policy
			}
			s.decisions[routeKey{r.Name, placement}] = d
		}
	}
	return s
}

func (s policySet) decide(r *config.Route, placement config.RateLimitPlacement) xds.Decision {
	return s.decisions[routeKey{r.Name, placement}]
}

// version hashes the versions of all parts, in an order that does not depend
// on maps.
func version(resources xds.Resources, policies map[string]*authz.Policy) string {
	var parts []string
	for t, byName := range resources {
		for name, r := range byName {
			parts = append(parts, fmt.Sprintf("%q %q %s", t, name, r.Version))
		}
	}
	for hash := range policies {
		parts = append(parts, "policy "+hash)
	}
	slices.Sort(parts)
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintln(h, p)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// RouteNames are the names of the plan's routes, with that of the route which
// takes what no other does.
func (p *Plan) RouteNames() []string {
	out := []string{xds.NotFoundRoute}
	for _, r := range p.Config.Routes {
		out = append(out, r.Name)
	}
	return out
}

// BackendNames are the names of the plan's backends.
func (p *Plan) BackendNames() []string {
	return slices.Collect(maps.Keys(p.Config.Backends))
}

// HasRoute reports whether the plan has a route of that name.
func (p *Plan) HasRoute(name string) bool { return p.routes[name] }

// Issuers are the plan's JWT providers.
func (p *Plan) Issuers() []*config.JWT {
	return slices.Collect(maps.Values(p.Config.Auth.JWT))
}
