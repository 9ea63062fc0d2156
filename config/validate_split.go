package config

import (
	"fmt"
	"math"
)

const (
	maxWeight = 1_000_000
	// maxWeightSum is the bound of Envoy's total weight.
	maxWeightSum = math.MaxUint32
)

// destinations holds a route's backends to exist, each once, with weights that
// send requests somewhere.
func (c *checker) destinations(at *place, r *Route) {
	to := r.To
	seen, sum := map[string]bool{}, int64(0)
	for i, d := range to {
		at := at.index(i)
		exists(c, at.key("backend"), "backend", d.Backend, c.cfg.Backends, new(place).key("backends"))
		c.must(!seen[d.Backend], at.key("backend"), "is listed twice: give it one weight")
		seen[d.Backend] = true
		c.headerChanges(at.key("request"), d.Request, c.requestSetRule)
		c.headerChanges(at.key("response"), d.Response, responseSetRule)
		c.onlyHere(at.key("request"), d.Request, r.Request)
		c.onlyHere(at.key("response"), d.Response, r.Response)
		switch {
		case d.Weight != nil:
			c.between(at.key("weight"), 0, int64(*d.Weight), maxWeight)
			sum += int64(*d.Weight)
		case len(to) == 1:
			sum++
		default:
			c.obey(at.key("weight"), "is missing: of several backends each says its weight")
			sum++ // one fault is enough
		}
	}
	c.must(len(to) == 0 || sum > 0, at, "must have a weight above 0: no backend would get a request")
	c.must(sum <= maxWeightSum, at, fmt.Sprintf("must have weights of at most %d together", int64(maxWeightSum)))
}

func (c *checker) pin(at *place, p *Pin, to []*Destination) {
	sides := map[string]bool{}
	for _, d := range to {
		sides[d.Backend] = true
	}
	c.obey(at.key("header"), c.matchedHeaderRule(p.Header))
	for _, value := range sorted(p.Values) {
		at := at.key("values").key(value)
		c.must(value != "", at, "a value of the header must not be empty")
		if backend := p.Values[value]; !sides[backend] {
			c.obey(at, "must be a backend of the route"+c.report.suggestion("; ", backend, sorted(sides)))
		}
	}
}
