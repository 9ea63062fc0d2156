package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/keys"
	"github.com/gatewright/gatewright/xds"
)

// placedPoll is how often it is looked whether policies inside Envoy have to be others: a
// key of an issuer, a revocation, a breaker that has opened. To look costs some
// comparisons.
const placedPoll = 50 * time.Millisecond

// issuedEvery is how often Envoys are told that time has passed. Tokens that were issued
// since are let pass as well, at a higher price (xds.PlacedState.IssuedBefore). Each time
// every Envoy makes the rules of its policies anew.
const issuedEvery = 5 * time.Minute

// placedSeen is what policies inside Envoy were made of.
type placedSeen struct {
	keys    []any
	revoked int64
	known   bool
	open    []string
	issued  time.Time
}

func (s placedSeen) equal(o placedSeen) bool {
	return slices.Equal(s.keys, o.keys) && s.revoked == o.revoked && s.known == o.known && slices.Equal(s.open, o.open) && s.issued.Equal(o.issued)
}

// placedNow is what policies inside Envoy would be made of now.
func (svc *service) placedNow(p *plan.Plan) placedSeen {
	seen := placedSeen{revoked: svc.revoked.Changes(), known: svc.letsTokensPass(), open: slices.Sorted(maps.Keys(svc.breakers.NotClosed()))}
	now := time.Now()
	seen.issued = now.Truncate(issuedEvery)
	for _, name := range slices.Sorted(maps.Keys(p.Config.Auth.JWT)) {
		seen.keys = append(seen.keys, svc.keySets.Using(p.Config.Auth.JWT[name], now))
	}
	return seen
}

// letsTokensPass tells whether tokens may be taken with what is known of revocations.
func (svc *service) letsTokensPass() bool {
	return !svc.settings.keys.RevocationsRequired || svc.revoked.Known()
}

// placedState is what of the policies inside Envoy stands in no config.
func (svc *service) placedState(p *plan.Plan) xds.PlacedState {
	state := xds.PlacedState{Open: svc.breakers.NotClosed(), RevocationsUnknown: !svc.letsTokensPass(), Version: p.Version}
	if state.RevocationsUnknown {
		return state
	}
	now := time.Now()
	state.IssuedBefore = now.Truncate(issuedEvery)
	addKeys(&state, p, svc.keySets, now)
	for _, r := range svc.revoked.InForce() {
		state.Revoked = append(state.Revoked, placedRevocation(r))
	}
	return state
}

// addKeys puts into a state what is known of the keys of the providers of policies inside
// Envoy, by the providers' content; digests only of those whose verdicts are remembered.
func addKeys(state *xds.PlacedState, p *plan.Plan, sets *authz.KeySets, now time.Time) {
	state.Keys, state.Nameless, state.Digests = map[string][]xds.PlacedKey{}, map[string]int{}, map[string]string{}
	for _, policy := range p.Placed() {
		for _, c := range policy.Callers {
			if _, known := state.Digests[c.Key]; !known && policy.Module != "" {
				state.Digests[c.Key] = sets.Digest(c.Provider, now)
			}
			if _, known := state.Keys[c.Key]; known {
				continue
			}
			state.Keys[c.Key], state.Nameless[c.Key] = nil, sets.Nameless(c.Provider, now)
			for _, k := range sets.Usable(c.Provider, now) {
				state.Keys[c.Key] = append(state.Keys[c.Key], xds.PlacedKey{ID: k.ID, Algorithms: k.Algorithms, Members: k.Members})
			}
		}
	}
}

func placedRevocation(r keys.Revocation) xds.PlacedRevocation {
	return xds.PlacedRevocation{Issuer: r.Issuer, ID: r.TokenID, Subject: r.Subject, IssuedBefore: r.IssuedBefore}
}

// followPlaced serves the policies inside Envoy anew whenever what they are made of has
// changed, until the context ends.
func (svc *service) followPlaced(ctx context.Context) error {
	tick := time.NewTicker(placedPoll)
	defer tick.Stop()
	var seen placedSeen
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		p := svc.plan.Load()
		if p == nil || len(p.Placed()) == 0 {
			continue
		}
		now := svc.placedNow(p)
		if now.equal(seen) {
			continue
		}
		// What is seen before it is served is at most older than what is.
		if err := svc.servePlaced(ctx); err != nil {
			if ctx.Err() == nil {
				svc.log.Error("policies inside Envoy are served as they were, and not as keys, revocations and breakers have become", "error", err)
			}
			continue
		}
		seen = now
	}
}

// servePlaced serves the policies inside Envoy as they are to be now, and all else as it
// is served: no fault of anything else, as of a certificate's file, keeps a token in use
// that is revoked.
func (svc *service) servePlaced(ctx context.Context) error {
	if err := svc.enter(ctx); err != nil {
		return err
	}
	defer svc.leave()
	p := svc.plan.Load()
	resources, err := svc.resources.WithPlaced(p.Placed(), svc.placedState(p))
	if err != nil {
		return fmt.Errorf("making filters of policies: %w", err)
	}
	if resources.SameBeside(svc.resources) {
		return nil
	}
	published, err := svc.xds.PublishSoon(ctx, resources)
	if err != nil {
		return fmt.Errorf("publishing filters of policies: %w", err)
	}
	svc.resources, svc.setAside = resources, published.SetAside
	if len(svc.setAside) > 0 {
		svc.tellSetAside()
	}
	return nil
}
