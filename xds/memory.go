package xds

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	modulesv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/dynamic_modules/v3"
	modulefilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_modules/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Where the config names a dynamic module (config.Experiments.EnvoyModule), policies of
// tokens are judged by Check, and what Check has made of a token is remembered inside
// Envoy: by the policy's hash and the whole Authorization header. To verify a token once
// more, and to look at its claims by Envoy's own filters, costs more than to find it
// among those that are known. See docs/decisions/0049 and envoy/module.
//
// A verdict holds until the token expires, and as long as the policy's epoch is the one
// that it was given in: an epoch stands for the keys and the revocations that the policy's
// verdicts depend on. It comes beside the listener, as the filters of other policies do.

// memoryFilter is the name of the module's filter that remembers, and of its config.
const memoryFilter = "gatewright.memory"

// moduleFilter is a filter of the module's. What one loads stays loaded: a process that has
// begun to run code of it must not lose that.
func moduleFilter(module, name, settings string) *modulefilterv3.DynamicModuleFilter {
	return &modulefilterv3.DynamicModuleFilter{
		DynamicModuleConfig: &modulesv3.DynamicModuleConfig{
			Module: &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{Local: &corev3.DataSource{
				Specifier: &corev3.DataSource_Filename{Filename: module},
			}}},
			DoNotClose: true,
		},
		FilterName:   name,
		FilterConfig: mustAny(wrapperspb.String(settings)),
	}
}

// remembered are the policies whose verdicts the module remembers, and judged those that
// Envoy's own filters judge.
func remembered(policies []*PlacedPolicy) []*PlacedPolicy {
	return filtered(policies, (*PlacedPolicy).remembersVerdicts)
}

func judgedInEnvoy(policies []*PlacedPolicy) []*PlacedPolicy {
	return filtered(policies, func(p *PlacedPolicy) bool { return !p.remembersVerdicts() })
}

func filtered(policies []*PlacedPolicy, take func(*PlacedPolicy) bool) (out []*PlacedPolicy) {
	for _, p := range policies {
		if take(p) {
			out = append(out, p)
		}
	}
	return out
}

func (p *PlacedPolicy) remembersVerdicts() bool { return p != nil && p.Module != "" }

// memoryFilters are that filter, off but for routes that say so. It stands behind the
// filters that tell which limit will count a request.
func (b builder) memoryFilters() []*hcmv3.HttpFilter {
	all := remembered(b.policies.Placed)
	if len(all) == 0 {
		return nil
	}
	return []*hcmv3.HttpFilter{discovered(memoryFilter, moduleFilter(all[0].Module, "memory", memoryTable(nil, PlacedState{})))}
}

// addMemory serves the filter's config.
func addMemory(s *set, policies []*PlacedPolicy, state PlacedState) {
	if all := remembered(policies); len(all) > 0 {
		putFilter(s, memoryFilter, moduleFilter(all[0].Module, "memory", memoryTable(all, state)))
	}
}

// memoryTable is what the filter knows of policies, as envoy/module/src/table.rs reads it.
func memoryTable(policies []*PlacedPolicy, state PlacedState) string {
	var b strings.Builder
	b.WriteString("version 1\n")
	if state.Version != "" {
		fmt.Fprintf(&b, "config %s\n", state.Version)
	}
	for _, p := range policies {
		limit := ""
		if p.Limit != nil {
			limit = p.Limit.Name
		}
		fmt.Fprintf(&b, "policy %s %s %s %s\n", p.Hash, cmp.Or(p.epoch(state), "-"), cmp.Or(limit, "-"), cmp.Or(strings.Join(p.Absent, ","), "-"))
	}
	return b.String()
}

// Epochs are those of policies whose verdicts are remembered, by their hashes; of a policy
// for which nothing is to be remembered there is none.
func Epochs(policies []*PlacedPolicy, state PlacedState) map[string]string {
	out := map[string]string{}
	for _, p := range remembered(policies) {
		if e := p.epoch(state); e != "" {
			out[p.Hash] = e
		}
	}
	return out
}

// epoch stands for all that verdicts by the policy depend on beside the request and the
// policy: whoever has the same keys and revocations, on whichever machine, has the same.
// Empty: nothing that is remembered holds now.
func (p *PlacedPolicy) epoch(state PlacedState) string {
	if len(p.askedNow(state)) > 0 || len(p.forgottenNow(state)) > 0 {
		return ""
	}
	type issuer struct {
		Keys    string
		Revoked []PlacedRevocation
	}
	var all []issuer
	for _, c := range p.providers() {
		i := issuer{Keys: state.Digests[c.Key]}
		for _, r := range state.Revoked {
			if r.Issuer == c.Provider.Issuer {
				r.IssuedBefore = r.IssuedBefore.UTC().Round(0)
				i.Revoked = append(i.Revoked, r)
			}
		}
		slices.SortFunc(i.Revoked, func(a, b PlacedRevocation) int {
			return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Subject, b.Subject), a.IssuedBefore.Compare(b.IssuedBefore))
		})
		all = append(all, i)
	}
	text, _ := json.Marshal(all) // texts and times of years that have four digits: cannot fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

// forgottenNow is why nothing holds that is remembered of a policy's tokens: of some of
// them nothing can be said.
func (p *PlacedPolicy) forgottenNow(state PlacedState) (reasons []string) {
	if state.RevocationsUnknown {
		return []string{revocationsUnknown}
	}
	for _, c := range p.providers() {
		if state.Digests[c.Key] == "" {
			reasons = append(reasons, noKeysOf(c.Provider))
		}
	}
	return reasons
}
