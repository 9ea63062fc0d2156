package config

import (
	"fmt"
	"reflect"
	"slices"
)

// ambiguousPreflights refuses two routes whose preflights are the same requests
// and are answered differently, where nothing tells which comes first. A
// preflight has the path, the query and the method that the request will have,
// and none of its headers.
func (c *checker) ambiguousPreflights(at *place) {
	groups := map[string]*preflights{}
	for i, r := range c.cfg.Routes {
		if _, err := ParsePath(r.Match.Path); err != nil || !c.report.trusted(at.index(i)) {
			continue
		}
		key := sameButHosts(&Route{Match: withoutHeaders(&r.Match), Priority: r.Priority}) +
			fmt.Sprint(len(r.Match.Headers), exactValues(r.Match.Headers))
		if groups[key] == nil {
			groups[key] = &preflights{}
		}
		if first := groups[key].take(r, i); first != nil {
			line := c.line(new(place).key("routes").index(first.index))
			c.obey(at.index(i), fmt.Sprintf("route %s and route %s on line %d take the same preflights, and answer them differently: "+
				"give one of them a priority", quoted(r.Name), quoted(c.cfg.Routes[first.index].Name), line))
		}
	}
}

func withoutHeaders(m *Match) Match {
	return Match{Hosts: m.Hosts, Methods: m.Methods, Path: m.Path, Query: m.Query}
}

// preflights are the answers to preflights that the routes of a group give:
// each CORS policy, and nil for the routes that take OPTIONS requests themselves.
type preflights []*preflightAnswer

type preflightAnswer struct {
	policy *CORS
	index  int
	claims *claims
}

// take claims the preflights of a route, and is an answer that was claimed for
// one of them before and is another one.
func (ps *preflights) take(r *Route, index int) *preflightAnswer {
	claimed := r.Match
	if r.CORS == nil {
		if !slices.Contains(r.Match.Methods, "OPTIONS") || len(r.Match.Headers) > 0 {
			return nil
		}
		claimed.Methods = methods // it takes the preflights for all of them
	}
	var own, other *preflightAnswer
	for _, answer := range *ps {
		if reflect.DeepEqual(answer.policy, r.CORS) {
			own = answer
		} else if other == nil && answer.claims.overlap(&claimed) {
			other = answer
		}
	}
	if own == nil {
		own = &preflightAnswer{policy: r.CORS, index: index, claims: &claims{named: map[claim]int{}, within: map[claim]int{}}}
		*ps = append(*ps, own)
	}
	own.claims.take(&Route{Match: claimed}, index)
	return other
}

// overlap tells whether one of a match's hosts and methods is claimed.
func (cs *claims) overlap(m *Match) bool {
	for _, host := range orEvery(m.Hosts) {
		for _, method := range orEvery(m.Methods) {
			if len(cs.holders(host, method)) > 0 {
				return true
			}
		}
	}
	return false
}
