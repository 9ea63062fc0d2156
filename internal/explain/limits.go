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
	// OnStoreFailure is what it does while its store does not answer.
	OnStoreFailure string `json:"onStoreFailure"`
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
		for j, part := range l.Key {
			out := Part{Part: string(part)}
			switch {
			case x.Refused != nil:
				out.Unknown = "the request is refused before it is counted"
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
