package plan

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/xds"
)

// Placement is where the policies of a config run on one of its listeners.
type Placement struct {
	Listener string `json:"listener"`
	// InEnvoy are the routes and policies of which Envoy lets pass what surely passes,
	// and has all else asked about; Asked those of which everything is asked about;
	// Unjudged are routes that ask for nothing. Routes of one policy may be in either.
	InEnvoy  RoutesAndPolicies `json:"inEnvoy"`
	Asked    RoutesAndPolicies `json:"asked"`
	Unjudged int               `json:"unjudged"`
	// Why are the reasons for which routes are asked about, those of most routes first. A
	// route may have several.
	Why []PlacementReason `json:"why,omitempty"`
}

// RoutesAndPolicies are how many there are of both.
type RoutesAndPolicies struct {
	Routes   int `json:"routes"`
	Policies int `json:"policies"`
}

// PlacementReason is why requests are asked about.
type PlacementReason struct {
	// Reason is a phrase.
	Reason string `json:"reason"`
	// Routes is how many it holds for, and Examples are the first of them by name.
	Routes   int      `json:"routes"`
	Examples []string `json:"examples"`
}

// someRoutes is how many routes a reason names.
const someRoutes = 3

// routesByReason gathers the names of routes by why they are asked about.
type routesByReason map[string][]string

func (m routesByReason) add(reason, route string) { m[reason] = append(m[reason], route) }

func (m routesByReason) sorted() []PlacementReason {
	var out []PlacementReason
	for reason, names := range m {
		slices.Sort(names)
		out = append(out, PlacementReason{reason, len(names), names[:min(len(names), someRoutes)]})
	}
	slices.SortFunc(out, func(a, b PlacementReason) int {
		return cmp.Or(cmp.Compare(b.Routes, a.Routes), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// Placements are where policies run, by listener in the order of the config, without
// those that redirect everything. It looks at each route, and so takes its time: the plan
// remembers it.
func (p *Plan) Placements() []Placement {
	p.placements.once.Do(func() {
		for _, l := range p.Config.Listeners {
			if l.RedirectToHTTPS == nil {
				p.placements.all = append(p.placements.all, p.placementOn(l))
			}
		}
	})
	return p.placements.all
}

// placements are those of a plan, once somebody has asked.
type placements struct {
	once sync.Once
	all  []Placement
}

func (p *Plan) placementOn(l *config.Listener) Placement {
	out := Placement{Listener: l.Name}
	inEnvoy, asked, why := map[string]bool{}, map[string]bool{}, routesByReason{}
	for _, r := range p.Config.Routes {
		d := p.decide(r, l.RateLimit)
		if !d.Needed {
			out.Unjudged++
			continue
		}
		if d.Placed != nil && p.Config.PlacementOf(l, r) != config.PlacementService && !p.Config.NobodyToLetPass(l, r) {
			out.InEnvoy.Routes++
			inEnvoy[d.Policy] = true
			continue
		}
		out.Asked.Routes++
		asked[d.Policy] = true
		for _, reason := range p.placer.WhyAskedOn(l, r) {
			why.add(reason, r.Name)
		}
	}
	out.InEnvoy.Policies, out.Asked.Policies, out.Why = len(inEnvoy), len(asked), why.sorted()
	return out
}

// RunsInEnvoy tells whether some listener lets requests of some route pass inside Envoy.
func (p *Plan) RunsInEnvoy() bool {
	return slices.ContainsFunc(p.Placements(), func(on Placement) bool { return on.InEnvoy.Routes > 0 })
}

// AskedNow is what has requests asked about at the moment of routes whose policies run
// inside Envoy.
func (p *Plan) AskedNow(state xds.PlacedState) []PlacementReason {
	if !p.RunsInEnvoy() {
		return nil
	}
	now := xds.WhyAskedNow(p.Placed(), state)
	if len(now) == 0 {
		return nil
	}
	names := p.placedRoutes()
	why := routesByReason{}
	for _, a := range now {
		for _, hash := range a.Policies {
			for _, name := range names[hash] {
				why.add(a.Reason, name)
			}
		}
	}
	return why.sorted()
}

// placedRoutes are the names of the routes whose policies run inside Envoy, by policy.
func (p *Plan) placedRoutes() map[string][]string {
	out := map[string][]string{}
	for _, part := range p.routes.parts {
		for _, name := range slices.Sorted(maps.Keys(part)) {
			if d := part[name].inCheck; d.Placed != nil {
				out[d.Placed.Hash] = append(out[d.Placed.Hash], name)
			}
		}
	}
	return out
}
