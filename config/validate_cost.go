package config

import (
	"fmt"

	"github.com/gatewright/gatewright/internal/rule"
)

// maxCost is the highest bound of a cost: what Envoy takes, and no limit has more.
const maxCost = maxCapacity

// DefaultMaxCost cuts the costs that headers and rules say.
const DefaultMaxCost = 1_000_000

// fixedCost holds what each request costs to what the limit holds, for everybody: a
// limit that no request can pass is not meant.
func (c *checker) fixedCost(at *place, l *Limit) {
	if l.Cost == nil || l.Cost.Varies() || l.Cost.Number > maxCost {
		return
	}
	if most := l.Own().holds(); most > 0 && l.Cost.Number > most {
		c.obey(at, fmt.Sprintf("must be at most %d, which is all that the limit holds: no request could pass", most))
	}
	for _, name := range sorted(l.Plans) {
		if most := l.Plans[name].holds(); most > 0 && l.Cost.Number > most {
			c.obey(at, fmt.Sprintf("must be at most %d, which is all that the limit holds in plan %s: no request of its callers could pass", most, name))
		}
	}
}

// holds is what is admitted at once; 0 where there is no algorithm.
func (p LimitPlan) holds() int64 {
	switch {
	case p.TokenBucket != nil:
		return p.TokenBucket.Capacity
	case p.SlidingWindow != nil:
		return p.SlidingWindow.Limit
	case p.SlidingLog != nil:
		return p.SlidingLog.Limit
	case p.FixedWindow != nil:
		return p.FixedWindow.Limit
	case p.Quota != nil:
		return p.Quota.Limit
	case p.Concurrency != nil:
		return p.Concurrency.Max
	}
	return 0
}

// cost holds a cost to one way of saying it.
func (c *checker) cost(at *place, k *Cost) {
	if k == nil {
		return
	}
	said := 0
	for _, given := range []bool{k.Number != 0, k.Header != "", k.Rule != ""} {
		if given {
			said++
		}
	}
	c.must(said == 1, at, "must be a number above 0, or have exactly one of number, header and rule")
	c.must(k.Number >= 0, at, "must be > 0") // in either form
	c.must(k.Number <= maxCost, at, "must be at most 1000000000")
	if k.Header != "" {
		c.obey(at.key("header"), c.matchedHeaderRule(k.Header))
	}
	if k.Rule != "" {
		c.obey(at.key("rule"), numberRule(k.Rule))
	}
	told := k.Header != "" || k.Rule != ""
	c.must(told || k.Default == 0, at.key("default"), "needs header or rule: a number is the cost of every request")
	c.must(told || k.Max == 0, at.key("max"), "needs header or rule: a number is the cost of every request")
	c.between(at.key("default"), 0, k.Default, maxCost)
	c.between(at.key("max"), 0, k.Max, maxCost)
	c.must(!told || k.Usual() <= k.Most(), at.key("default"), "must be at most max")
}

// numberRule is what is wrong with a rule that says a cost.
func numberRule(text string) string {
	if _, err := rule.CompileNumber(text); err != nil {
		return err.Error()
	}
	return ""
}

// Usual is the cost of a request of which nothing else is said.
func (k *Cost) Usual() int64 {
	switch {
	case k == nil:
		return 1
	case k.Number != 0:
		return k.Number
	case k.Default != 0:
		return k.Default
	}
	return 1
}

// Most is the highest cost that a header or a rule can say.
func (k *Cost) Most() int64 {
	if k.Max == 0 {
		return DefaultMaxCost
	}
	return k.Max
}

// Varies tells that the cost is each request's own.
func (k *Cost) Varies() bool { return k != nil && (k.Header != "" || k.Rule != "") }

// OfCaller tells that the cost depends on who the caller is.
func (k *Cost) OfCaller() bool {
	if k == nil || k.Rule == "" {
		return false
	}
	r, err := rule.CompileNumber(k.Rule)
	return err == nil && r.OfCaller()
}
