package explain

import (
	"cmp"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// Limit is a limit of the route, and what it would count the request by.
type Limit struct {
	Name string `json:"name"`
	// Says is its definition in words, as it is for the caller if that is known.
	Says string `json:"says"`
	// Plan is the plan of the caller's credential by which it is so; empty where
	// it is what it is for everybody. What a customer's record says, which is in the
	// database, is not looked at.
	Plan string `json:"plan,omitempty"`
	// Plans are its definitions for callers in a plan, by the plans' names.
	Plans map[string]string `json:"plans,omitempty"`
	Key   []Part            `json:"key"`
	// Cost is what the request takes; Unknown where that depends on the caller.
	Cost Cost `json:"cost"`
	// Shadow tells that it denies nobody.
	Shadow bool `json:"shadow,omitempty"`
	// Unidentified tells that requests whose credential is refused are charged, too:
	// it does not matter to the limit who the caller is.
	Unidentified bool `json:"unidentified,omitempty"`
	// OnStoreFailure is what it does while its store does not answer.
	OnStoreFailure string `json:"onStoreFailure"`
}

// Cost is what a request takes of a limit.
type Cost struct {
	Value int64 `json:"value"`
	// By is what says it: a header or a rule. Empty is that all requests cost the same.
	By string `json:"by,omitempty"`
	// Unknown is why it cannot be told.
	Unknown string `json:"unknown,omitempty"`
}

// Part is one part of the key that a limit counts by.
type Part struct {
	Part string `json:"part"`
	// Value is what the request has; empty, all who have none count together.
	Value string `json:"value"`
	// Unknown is why the value cannot be told.
	Unknown string `json:"unknown,omitempty"`
}

func limits(p *authz.Policy, x authz.Examination, asked Asked) []Limit {
	var all []Limit
	for i, l := range p.Limits {
		var allowance config.Allowance
		if x.Refused == nil && x.CallerKnown {
			allowance = x.Charges[i].Allowance
		}
		limit := Limit{
			Name: l.Name, Says: definition(l.For(allowance)), Plan: allowance.Plan, Plans: byPlan(l),
			OnStoreFailure: string(cmp.Or(l.OnStoreFailure, config.FailLocal)),
		}
		limit.Cost = costOf(l, x, i)
		limit.Shadow = l.InShadow()
		limit.Unidentified = !p.Public() && !l.OfCaller()
		for j, part := range l.Key {
			out := Part{Part: string(part)}
			switch {
			case x.Refused != nil:
				out.Unknown = uncounted
			case !x.CallerKnown && part.OfCaller():
				out.Unknown = "the caller is not known"
			case part == config.KeyClientIP && asked.ClientIP == "":
				out.Unknown = "the client's address is not known; --client-ip gives one"
			default:
				out.Value = x.Charges[i].Key[j]
			}
			limit.Key = append(limit.Key, out)
		}
		all = append(all, limit)
	}
	return all
}

// uncounted is why nothing can be told of what a refused request is charged.
const uncounted = "the request is refused before it is counted"

// costOf is what the request takes of the i-th limit.
func costOf(l *config.Limit, x authz.Examination, i int) Cost {
	var c Cost
	switch k := l.Cost; {
	case k == nil:
	case k.Header != "":
		c.By = "header:" + k.Header
	case k.Rule != "":
		c.By = config.KeyRulePrefix + k.Rule
	}
	switch {
	case c.By == "":
		c.Value = l.Cost.Usual()
	case x.Refused != nil:
		c.Unknown = uncounted
	case !x.CallerKnown && l.Cost.OfCaller():
		c.Unknown = "the caller is not known"
	default:
		c.Value = max(x.Charges[i].Cost, 0)
	}
	return c
}

// byPlan are the definitions of a limit by the plans that it names.
func byPlan(l *config.Limit) map[string]string {
	if len(l.Plans) == 0 {
		return nil
	}
	all := map[string]string{}
	for name, p := range l.Plans {
		all[name] = definition(*p)
	}
	return all
}
