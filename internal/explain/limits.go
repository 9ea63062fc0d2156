package explain

import (
	"cmp"
	"strconv"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// Limit is a limit of the route, and what it would count the request by.
type Limit struct {
	Name string `json:"name"`
	// Says is its definition in words.
	Says string `json:"says"`
	Key  []Part `json:"key"`
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
		limit := Limit{Name: l.Name, Says: definition(l), OnStoreFailure: string(cmp.Or(l.OnStoreFailure, config.FailLocal))}
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

func definition(l *config.Limit) string {
	b := l.TokenBucket
	return strconv.FormatInt(b.Capacity, 10) + " at once, and " + b.Refill.String() + " after that"
}
