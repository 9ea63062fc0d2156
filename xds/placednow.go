package xds

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gatewright/gatewright/config"
)

// AskedNow is why requests are asked about that a policy would let pass inside Envoy were
// all as it mostly is.
type AskedNow struct {
	// Reason is a phrase.
	Reason string
	// Policies are the hashes of the policies that it holds for, in their order.
	Policies []string
}

// WhyAskedNow are the reasons that there are now, in alphabetical order. They are those
// that the filters are made by (WithPlaced).
func WhyAskedNow(policies []*PlacedPolicy, state PlacedState) []AskedNow {
	byReason := map[string][]string{}
	for _, p := range policies {
		reasons := p.askedNow(state)
		if p.remembersVerdicts() {
			reasons = append(reasons, p.forgottenNow(state)...)
		} else {
			for _, c := range p.providers() {
				reasons = append(reasons, c.askedNow(state)...)
			}
		}
		for _, reason := range reasons {
			if !slices.Contains(byReason[reason], p.Hash) {
				byReason[reason] = append(byReason[reason], p.Hash)
			}
		}
	}
	var out []AskedNow
	for reason, hashes := range byReason {
		slices.Sort(hashes)
		out = append(out, AskedNow{reason, hashes})
	}
	slices.SortFunc(out, func(a, b AskedNow) int { return cmp.Compare(a.Reason, b.Reason) })
	return out
}

const revocationsUnknown = "it is not known which tokens have been revoked"

func noKeysOf(p *config.JWT) string { return fmt.Sprintf("no keys of jwt %s are known", p.Name) }

// askedNow is why all requests of a policy are asked about. None: some may be let pass.
func (p *PlacedPolicy) askedNow(state PlacedState) []string {
	if len(p.Breakers) > 0 && state.Open == nil {
		return []string{"it is not known which breakers are closed"}
	}
	var out []string
	for _, backend := range p.Breakers {
		if state.Open[backend] {
			out = append(out, fmt.Sprintf("the breaker of backend %s is not closed", backend))
		}
	}
	return out
}

// askedNow is why tokens of a caller's provider are asked about, all of them or some.
func (c PlacedCaller) askedNow(state PlacedState) []string {
	reason, _ := c.letsNonePass(state)
	if n := state.Nameless[c.Key]; n > 0 && reason == "" {
		reason = fmt.Sprintf("tokens of jwt %s may be signed by keys that have no kid: %d in its key set", c.Provider.Name, n)
	}
	if reason == "" {
		return nil
	}
	return []string{reason}
}

// letsNonePass is why all tokens of a caller's provider are asked about, or "" and those
// of its issuer that have been revoked.
func (c PlacedCaller) letsNonePass(state PlacedState) (reason string, revoked revocations) {
	if state.RevocationsUnknown {
		return revocationsUnknown, nil
	}
	if len(state.Keys[c.Key]) == 0 {
		if state.Nameless[c.Key] > 0 {
			return fmt.Sprintf("the keys of jwt %s have no kid", c.Provider.Name), nil
		}
		return noKeysOf(c.Provider), nil
	}
	revoked, few := revokedOf(c.Provider.Issuer, state.Revoked)
	if !few {
		return fmt.Sprintf("more than %d revocations of issuer %s are in force", maxPlacedRevocations, c.Provider.Issuer), nil
	}
	return "", revoked
}
