package plan

import (
	"maps"
	"reflect"
	"slices"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/xds"
)

// judgedRoute is a route, and what is decided about it on listeners of each
// placement of limits.
type judgedRoute struct {
	route             *config.Route
	inCheck, inFilter xds.Decision
}

// sharedPlaced is a policy that runs inside Envoy, and how many routes name it.
type sharedPlaced struct {
	policy *xds.PlacedPolicy
	uses   int
}

// judgedAlike is an address and no more: it has a size, so that no two are one.
type judgedAlike struct{ _ byte }

// sharedPolicy is a policy, and how many decisions name it.
type sharedPolicy struct {
	policy *authz.Policy
	uses   int
}

// judgements are the routes of a plan and their policies, while they are made
// from those of the plan before.
type judgements struct {
	config *config.Config
	// reroutes tells that Check may send requests of some route elsewhere.
	reroutes bool
	routes   *edit[judgedRoute]  // by name
	policies *edit[sharedPolicy] // by hash
	placed   *edit[sharedPlaced] // by hash
	placer   *config.Placer
}

// judge fills in the plan's routes and policies. Those of the plan before are
// taken over where what policies are made of beside the routes is the same.
func (p *Plan) judge(before *Plan, o Options) {
	if before == nil {
		none := &config.Config{}
		before = &Plan{Config: none, placer: none.Placer()}
	}
	old := before.Config
	j := judgements{config: p.Config, reroutes: p.Config.Reroutes(), routes: before.routes.edited(), policies: before.policies.edited(), placed: before.placed.edited()}
	p.ofConfig = p.Config.Placer()
	p.placer = placerFor(p.Config, p.ofConfig, p.Form, o)
	j.placer = p.placer
	reused := sameParts(old, p.Config) && old.Reroutes() == j.reroutes && sameKeys(before.placer.LimitsAsked(), p.placer.LimitsAsked())
	p.judged = before.judged
	if !reused || p.judged == nil {
		p.judged = &judgedAlike{}
	}
	if !reused {
		j.routes, j.policies, j.placed = new(shards[judgedRoute]).edited(), new(shards[sharedPolicy]).edited(), new(shards[sharedPlaced]).edited()
	}
	kept := 0
	next := 0 // where in the old list the next route most likely is
	for _, r := range p.Config.Routes {
		if next+1 < len(old.Routes) && old.Routes[next+1] == r {
			next++ // one has been taken out
		}
		same := next < len(old.Routes) && old.Routes[next] == r
		if same || before.HasRoute(r.Name) {
			kept, next = kept+1, next+1
		}
		if !same || !reused {
			j.add(r)
		}
	}
	if kept < len(old.Routes) {
		names := make(map[string]bool, len(p.Config.Routes))
		for _, r := range p.Config.Routes {
			names[r.Name] = true
		}
		for _, r := range old.Routes {
			if !names[r.Name] {
				p.DroppedRoutes = append(p.DroppedRoutes, r.Name)
				j.drop(r.Name)
			}
		}
	}
	if reused {
		p.strangers, p.challenges = before.strangers, before.challenges // and their uses of policies
	} else {
		p.strangers = j.decision(authz.NewStrangersPolicy(p.Config))
		if p.Config.AnswersChallenges() {
			p.challenges = j.decision(authz.NewChallengesPolicy())
		}
	}
	p.routes, p.policies, p.placed = j.routes.shards, j.policies.shards, j.placed.shards
	p.allPlaced = inOrder(&p.placed)
}

// sameParts tells whether all is the same that a policy is made of beside its
// route.
func sameParts(a, b *config.Config) bool {
	return maps.Equal(a.Auth.JWT, b.Auth.JWT) && maps.Equal(a.Auth.APIKey, b.Auth.APIKey) &&
		maps.Equal(a.Auth.Introspection, b.Auth.Introspection) && maps.Equal(a.Auth.ClientCertificate, b.Auth.ClientCertificate) &&
		maps.Equal(a.Limits, b.Limits) && maps.Equal(a.OpenAPI, b.OpenAPI) && a.RateLimitHeaders == b.RateLimitHeaders && filtersLimits(a) == filtersLimits(b) && reflect.DeepEqual(a.Strangers, b.Strangers) && reflect.DeepEqual(a.Errors, b.Errors) &&
		a.AnswersChallenges() == b.AnswersChallenges() && a.Experiments == b.Experiments &&
		sameBreakers(a.Backends, b.Backends)
}

// sameKeys tells whether the same limits do not run inside Envoy, for whatever reason.
func sameKeys(a, b map[string]string) bool {
	return maps.EqualFunc(a, b, func(string, string) bool { return true })
}

// sameBreakers tells whether the same backends have a breaker, with the same
// fallback: of a breaker a policy has no more.
func sameBreakers(a, b map[string]*config.Backend) bool {
	within := func(a, b map[string]*config.Backend) bool {
		for name, backend := range a {
			if backend.Breaker == nil || b[name] == backend {
				continue
			}
			other := b[name]
			if other == nil || other.Breaker == nil || !reflect.DeepEqual(backend.Breaker.Fallback, other.Breaker.Fallback) {
				return false
			}
		}
		return true
	}
	return within(a, b) && within(b, a)
}

func (j *judgements) has(r *config.Route) bool {
	known, ok := j.routes.get(r.Name)
	return ok && known.route == r
}

// add judges a route, in place of another of its name if there is one.
func (j *judgements) add(r *config.Route) {
	if j.has(r) {
		return
	}
	j.drop(r.Name)
	inCheck := j.policy(r, false)
	judged := judgedRoute{route: r, inCheck: j.decision(inCheck)}
	// Envoy's ratelimit filter reads the limits of a forwarding action: a
	// route that answers by itself has none, and would be counted by nobody.
	if len(r.Limits) > 0 && len(r.To) > 0 && filtersLimits(j.config) {
		judged.inFilter = j.decision(j.policy(r, true))
	} else {
		judged.inFilter = judged.inCheck
		j.use(judged.inFilter, inCheck)
	}
	judged.inCheck.Placed = j.place(r, judged.inCheck)
	j.routes.set(r.Name, judged)
}

// policy is what a route asks.
func (j *judgements) policy(r *config.Route, limitsInFilter bool) *authz.Policy {
	p := authz.NewPolicy(j.config, r, limitsInFilter)
	p.Holds = j.reroutes && p.TakesFromQuery()
	return p
}

// filtersLimits tells whether some listener leaves limits to Envoy's filter.
func filtersLimits(c *config.Config) bool {
	return slices.ContainsFunc(c.Listeners, func(l *config.Listener) bool {
		return l.RateLimit == config.RateLimitFilter
	})
}

// decision is what follows from a policy, which is kept where it is needed.
func (j *judgements) decision(p *authz.Policy) xds.Decision {
	d := xds.Decision{Needed: p.Needed(), Holds: p.Holds}
	if d.Needed {
		d.Policy = p.Hash()
	}
	j.use(d, p)
	return d
}

func (j *judgements) use(d xds.Decision, p *authz.Policy) {
	if d.Needed {
		shared, _ := j.policies.get(d.Policy)
		j.policies.set(d.Policy, sharedPolicy{p, shared.uses + 1})
	}
}

// drop forgets a route, and its policies where no other names them.
func (j *judgements) drop(name string) {
	known, ok := j.routes.get(name)
	if !ok {
		return
	}
	j.routes.remove(name)
	j.displace(known.inCheck)
	for _, d := range []xds.Decision{known.inCheck, known.inFilter} {
		if !d.Needed {
			continue
		}
		shared, _ := j.policies.get(d.Policy)
		if shared.uses--; shared.uses > 0 {
			j.policies.set(d.Policy, shared)
		} else {
			j.policies.remove(d.Policy)
		}
	}
}

// decide is what is decided about a route of the plan.
func (p *Plan) decide(r *config.Route, placement config.RateLimitPlacement) xds.Decision {
	judged, _ := p.routes.get(r.Name)
	if placement == config.RateLimitFilter {
		return judged.inFilter
	}
	return judged.inCheck
}

// Policy is what a route asks of requests, by the hash that the route names it
// by in Envoy; nil where the plan has none of that hash.
func (p *Plan) Policy(hash string) *authz.Policy {
	shared, _ := p.policies.get(hash)
	return shared.policy
}

// public is the policy of routes that need no decision.
var public = &authz.Policy{}

// PolicyOf is what a route of the plan asks of requests that Check judges alone,
// and the hash of that, which is empty where the route asks nothing. The policy
// is nil where the plan has no such route.
func (p *Plan) PolicyOf(r *config.Route) (policy *authz.Policy, hash string) {
	judged, ok := p.routes.get(r.Name)
	switch {
	case !ok:
		return nil, ""
	case !judged.inCheck.Needed:
		return public, ""
	}
	return p.Policy(judged.inCheck.Policy), judged.inCheck.Policy
}

// StrangersPolicy is what is asked of requests that no route of the plan takes,
// and its hash; nil where nothing is.
func (p *Plan) StrangersPolicy() (policy *authz.Policy, hash string) {
	if !p.strangers.Needed {
		return nil, ""
	}
	return p.Policy(p.strangers.Policy), p.strangers.Policy
}
