package authz

import (
	"strings"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/rule"
)

// NoCost is the cost of a charge that takes nothing.
const NoCost = -1

// count makes the charges of one request. Its headers are countable.
type count struct {
	server *Server
	rq     *request
	// id and terms are the caller's, once there is one.
	id    *Identity
	terms terms
	facts *rule.Facts // nil until a rule needs them
}

// nobody is the caller of a request of which nobody knows whose it is.
var nobody Identity

// countOf counts a request before anybody knows whose it is.
func (s *Server) countOf(rq *request) count { return count{server: s, rq: rq, id: &nobody} }

// identified counts the same request as the caller's.
func (c count) identified(id *Identity, t terms) count {
	c.id, c.terms, c.facts = id, t, nil
	return c
}

// withoutCaller are the charges of limits for which it does not matter who the
// caller is.
func (c *count) withoutCaller(meters []*meter) []Charge {
	var all []Charge
	for _, m := range meters {
		if m.ofCaller {
			continue
		}
		if all == nil {
			all = make([]Charge, 0, len(meters))
		}
		all = append(all, c.charge(m))
	}
	return all
}

// all are the charges of all limits, in their order; known are those of limits for
// which the caller does not matter.
func (c *count) all(meters []*meter, known []Charge) []Charge {
	if len(known) == len(meters) {
		return known
	}
	all := make([]Charge, len(meters))
	for i, m := range meters {
		if m.ofCaller {
			all[i] = c.charge(m)
		} else {
			all[i], known = known[0], known[1:]
		}
	}
	return all
}

func (c *count) charge(m *meter) Charge {
	key := make([]string, len(m.parts))
	for i := range m.parts {
		key[i] = c.value(m, &m.parts[i])
	}
	return Charge{Limit: m.limit, Key: key, Allowance: c.terms.allowance(m.limit), Cost: c.cost(m)}
}

// value is that of one part of a limit's key. One that the request does not have is
// empty.
func (c *count) value(m *meter, p *meterPart) string {
	switch p.kind {
	case headerPart:
		value, _ := c.rq.limitHeader(p.header)
		return value
	case claimPart:
		return claimText(c.id.Claims[p.claim])
	case rulePart:
		value, err := p.rule.Of(c.known())
		if err != nil {
			c.server.metrics.ruleFailed(m.limit.Name)
			return ""
		}
		return validText(value)
	case plainPart:
	}
	switch p.KeyPart {
	case config.KeyUser:
		return c.id.userKey()
	case config.KeyTenant:
		return c.id.Tenant
	case config.KeyAPIKey:
		return c.id.KeyID
	case config.KeyClientIP:
		return c.server.clientIPKey(c.rq.clientIP(), m.limit.ClientPrefix())
	case config.KeyRoute:
		return c.rq.route
	case config.KeyMethod:
		return methodKey(c.rq.method)
	}
	return ""
}

// cost is what the request takes of a limit, as a Charge says it.
func (c *count) cost(m *meter) int64 {
	k := m.limit.Cost
	switch {
	case k == nil:
		return 1
	case k.Header != "":
		text, _ := c.rq.limitHeader(k.Header)
		return headerCost(text, k)
	case k.Rule != "":
		n, err := m.cost.Of(c.known())
		switch {
		case err != nil || n < 0:
			c.server.metrics.ruleFailed(m.limit.Name)
			return k.Usual()
		case n == 0:
			return NoCost
		}
		return min(n, k.Most())
	}
	return k.Number
}

// headerCost is the cost that a header says: a whole number above 0, in decimal
// digits.
func headerCost(text string, k *config.Cost) int64 {
	var n int64
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return k.Usual()
		}
		n = min(10*n+int64(text[i]-'0'), k.Most()) // which 64 bits hold ten times
	}
	if n == 0 {
		return k.Usual()
	}
	return n
}

// known is what rules can know of the request and its caller.
func (c *count) known() *rule.Facts {
	if c.facts == nil {
		c.facts = factsOf(c.rq)
		c.facts.Claims = c.id.Claims
		c.facts.CallerUser, c.facts.CallerTenant = c.id.User, c.id.Tenant
		c.facts.CallerPlan, c.facts.CallerProvider, c.facts.CallerKey = c.terms.plan(), c.id.Provider, c.id.KeyID
	}
	return c.facts
}

// factsOf is what rules can know of a request.
func factsOf(rq *request) *rule.Facts {
	path, query, _ := strings.Cut(rq.path, "?")
	return &rule.Facts{
		Method: rq.method, Host: plainHost(rq.host), Path: validText(path), Query: query, Headers: rq.headersByName,
	}
}
