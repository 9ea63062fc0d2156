package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/xds"
)

// place is what of a route's policy runs inside Envoy: all of it, or nil.
func (j *judgements) place(r *config.Route, d xds.Decision) *xds.PlacedPolicy {
	if !d.Needed || !j.placer.Runs(r) {
		return nil
	}
	shared, ok := j.placed.get(d.Policy)
	if !ok {
		policy, _ := j.policies.get(d.Policy)
		shared.policy = placedPolicy(j.config, r, policy.policy, d.Policy)
	}
	shared.uses++
	j.placed.set(d.Policy, shared)
	return shared.policy
}

// displace forgets that a route is placed.
func (j *judgements) displace(d xds.Decision) {
	if d.Placed == nil {
		return
	}
	shared, _ := j.placed.get(d.Placed.Hash)
	if shared.uses--; shared.uses > 0 {
		j.placed.set(d.Placed.Hash, shared)
	} else {
		j.placed.remove(d.Placed.Hash)
	}
}

// placedPolicy is a policy of which config.Placer.WhyAsked says nothing. Routes of one policy
// ask the same, and so share it.
func placedPolicy(c *config.Config, r *config.Route, p *authz.Policy, hash string) *xds.PlacedPolicy {
	out := &xds.PlacedPolicy{Hash: hash, Public: r.Auth.Public}
	for _, q := range r.Auth.AnyOf {
		if key := c.Auth.APIKey[q.APIKey]; key != nil {
			if name := strings.ToLower(key.KeyHeader()); !slices.Contains(out.Absent, name) {
				out.Absent = append(out.Absent, name)
			}
		}
		out.Certificates = out.Certificates || q.ClientCertificate != ""
		if provider := c.Auth.JWT[q.JWT]; provider != nil {
			out.Callers = append(out.Callers, xds.PlacedCaller{
				Provider: provider, Key: authz.ProviderHash(provider),
				Scopes: q.Scopes, AnyScope: q.AnyScope, Roles: q.Roles, RequiredClaims: q.RequiredClaims, Claims: q.Claims, Rule: q.Rule,
				BehindCertificate: out.Certificates,
			})
		}
	}
	if p.Rememberable() {
		out.Module = c.Experiments.EnvoyModule
	}
	if len(p.Limits) > 0 {
		out.Limit = p.Limits[0] // there is no more than one
		out.LimitModule = c.Experiments.EnvoyModule
	}
	for _, b := range p.Breakers {
		out.Breakers = append(out.Breakers, b.Backend)
	}
	return out
}

// Placed are the plan's policies that run inside Envoy, in the order of their hashes.
func (p *Plan) Placed() []*xds.PlacedPolicy { return p.allPlaced }

// inOrder are all of them.
func inOrder(placed *shards[sharedPlaced]) []*xds.PlacedPolicy {
	var out []*xds.PlacedPolicy
	for _, part := range placed.parts {
		for _, shared := range part {
			out = append(out, shared.policy)
		}
	}
	slices.SortFunc(out, func(a, b *xds.PlacedPolicy) int { return cmp.Compare(a.Hash, b.Hash) })
	return out
}

// placerFor knows of the limits that Gatewright counts itself for what the config says,
// for the form in which routes are served, and for who there is to count. In the form
// Scoped a host in capitals, or that no route names, finds its route too late for the
// filters that are off but for some: its requests are asked about, whatever the route.
func placerFor(c *config.Config, ofConfig *config.Placer, form xds.Form, o Options) *config.Placer {
	more := map[string]string{}
	for name, l := range c.Limits {
		switch {
		case ofConfig.LimitsAsked()[name] != "":
		case form == xds.Scoped:
			more[name] = "would be counted apart for hosts in capitals, which a gateway of so many routes asks about"
		case o.Fleet.Unshared:
			more[name] = "cannot be shared by an Envoy whose bootstrap is older than that"
		case l.TokenBucket.Capacity < int64(o.Fleet.Envoys)*l.Cost.Usual():
			more[name] = fmt.Sprintf("holds too little to be shared by %d Envoys", o.Fleet.Envoys)
		case o.Resized != nil && o.Resized(name):
			more[name] = "has another size for some tenant"
		}
	}
	return ofConfig.Knowing(more)
}

// CountsAlike tells whether a plan for the same config with these options would count
// the same limits inside Envoy. To ask costs little.
func (p *Plan) CountsAlike(o Options) bool {
	return sameKeys(placerFor(p.Config, p.ofConfig, p.Form, o).LimitsAsked(), p.placer.LimitsAsked())
}
