// Package plan compiles a valid config into everything that is served from it.
// It is pure: no clock, no log, no I/O; the same config gives the same plan on
// every instance.
package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

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
	// Form is how the routes reach an Envoy.
	Form xds.Form

	// DroppedRoutes are the names of the routes that the plan before had, and
	// this one has not.
	DroppedRoutes []string

	routes   shards[judgedRoute]  // by name
	policies shards[sharedPolicy] // by hash
	placed   shards[sharedPlaced] // by hash
	// allPlaced are those, in order.
	allPlaced []*xds.PlacedPolicy
	// placer tells which policies run inside Envoy, and ofConfig which can for what the
	// config says.
	placer, ofConfig *config.Placer
	// strangers is what is decided about requests that no route takes.
	strangers xds.Decision
	// challenges is the same about requests of ACME authorities.
	challenges xds.Decision
	// judged is shared by plans that say the same of the same route.
	judged *judgedAlike
	// placements is where policies run, for people.
	placements placements
}

// Options say what a plan is compiled beside.
type Options struct {
	// Previous is the plan that is served. What has not changed since is taken
	// over from it. It may be nil.
	Previous *Plan
	// Form is the form in which routes are served; empty is the one that suits
	// the config. Also are forms that are compiled beside it.
	Form xds.Form
	Also []xds.Form
	// Fleet is by whom limits are counted that run inside Envoy, and Resized tells of a
	// limit that has another size for some tenant; nil knows of none.
	Fleet   xds.Fleet
	Resized func(limit string) bool
}

// Compile returns the plan for a valid config: all of it, or an error. A route
// of the config that is the same one, by its address, as in the previous plan is
// taken for unchanged; see config.Adopt.
func Compile(c *config.Config, o Options) (*Plan, error) {
	p := &Plan{Config: c, Form: cmp.Or(o.Form, xds.FormFor(c))}
	var before xds.Resources
	if o.Previous != nil {
		before = o.Previous.Resources
	}
	p.judge(o.Previous, o)
	var err error
	p.Resources, err = xds.Build(c, xds.Policies{
		Decide:           p.decide,
		Strangers:        p.strangers,
		Challenges:       p.challenges,
		Placed:           p.Placed(),
		Judged:           p.judged,
		Thresholds:       breakerpolicy.Thresholds,
		OutlierDetection: breakerpolicy.OutlierDetection,

		AdaptiveConcurrency: breakerpolicy.AdaptiveConcurrency,
	}, xds.Options{Form: p.Form, Also: o.Also, Previous: before})
	if err != nil {
		return nil, fmt.Errorf("compiling the config: %w", err)
	}
	p.Version = version(p.Resources, append(p.breakersVersion(), p.discoveryVersion()...))
	return p, nil
}

// version hashes the versions of all resources, and those parts, in an order that
// does not depend on maps. Policies are named in the resources, by their hashes.
func version(resources xds.Resources, parts []string) string {
	for t, byName := range resources {
		for name, r := range byName {
			parts = append(parts, fmt.Sprintf("%q %q %s", t, name, r.Version))
		}
	}
	slices.Sort(parts)
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintln(h, p)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// HasRoute reports whether the plan has a route of that name, of which those are
// some that take what no route of the config does, and what none may.
func (p *Plan) HasRoute(name string) bool {
	_, ok := p.routes.get(name)
	return ok || name == xds.NotFoundRoute || name == xds.RefusedRoute || name == xds.ChallengeRoute
}

// NamesPlan reports whether some limit of the config is of another size for the
// callers in a customers' plan of that name.
func (p *Plan) NamesPlan(name string) bool {
	for _, l := range p.Config.Limits {
		if l.Plans[name] != nil {
			return true
		}
	}
	return false
}

// RoutesNotIn are the names of the plan's routes that another has not. nil has none.
func (p *Plan) RoutesNotIn(other *Plan) []string {
	var out []string
	for _, r := range p.Config.Routes {
		if other == nil || !other.HasRoute(r.Name) {
			out = append(out, r.Name)
		}
	}
	return out
}

// HasBackend reports whether the plan has a backend of that name.
func (p *Plan) HasBackend(name string) bool {
	_, ok := p.Config.Backends[name]
	return ok
}

// Issuers are the plan's JWT providers.
func (p *Plan) Issuers() []*config.JWT {
	return slices.Collect(maps.Values(p.Config.Auth.JWT))
}

// Introspectors are the plan's introspection providers.
func (p *Plan) Introspectors() []*config.Introspection {
	return slices.Collect(maps.Values(p.Config.Auth.Introspection))
}
