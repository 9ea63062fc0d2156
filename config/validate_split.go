package config

import (
	"fmt"
	"math"
	"slices"
	"strings"
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
		c.literal(at.key("request"), d.Request)
		c.literal(at.key("response"), d.Response)
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

// pin holds a pin to look at one thing that requests of the route can have, and
// to send nobody elsewhere than to a backend of the route.
func (c *checker) pin(route *place, r *Route) {
	at, p, sides := route.key("pin"), r.Pin, map[string]bool{}
	for _, d := range r.To {
		sides[d.Backend] = true
	}
	given := 0
	for name, value := range map[string]string{"header": p.Header, "cookie": p.Cookie, "claim": p.Claim} {
		if value != "" || c.written(at.key(name)) {
			given++
		}
	}
	c.must(given == 1, at, "must have exactly one of header, cookie and claim")
	if p.Header != "" {
		c.obey(at.key("header"), c.matchedHeaderRule(p.Header))
	}
	if p.Cookie != "" {
		c.obey(at.key("cookie"), cookieRule(p.Cookie))
	}
	if p.Claim != "" && r.Auth != nil && c.report.trusted(route.key("auth")) {
		c.obey(at.key("claim"), claimlessRule(r.Auth))
	}
	for _, value := range sorted(p.Values) {
		at := at.key("values").key(value)
		c.must(value != "", at, "a value must not be empty")
		if p.Cookie != "" {
			c.must(value == "" || isCookieValue(value), at, "must be a value that a cookie can have: no spaces, quotes, commas, semicolons or backslashes")
		}
		if backend := p.Values[value]; !sides[backend] {
			c.obey(at, "must be a backend of the route"+c.report.suggestion("; ", backend, sorted(sides)))
		}
	}
}

// countedElsewhere holds a route whose requests Check may send to another of its
// backends to have none whose requests at once Envoy counts: it counts them where it
// has picked itself.
func (c *checker) countedElsewhere(at *place, r *Route) {
	if !r.KeptByCaller() && !r.PinnedByClaim() {
		return
	}
	for i, d := range r.To {
		if b := c.cfg.Backends[d.Backend]; b != nil && b.AdaptiveConcurrency != nil {
			c.obey(at.index(i).key("backend"), "has adaptiveConcurrency, which counts a request for the side that Envoy has picked: pin and sticky must not depend on the caller, who may be on another")
		}
	}
}

// sticky holds what a route keeps callers by to something that requests of the
// route can have.
func (c *checker) sticky(route *place, r *Route) {
	at := route.key("sticky")
	c.must(len(r.To) > 1, at, "needs several backends in to: there is one side")
	c.must(len(r.Sticky) <= maxKeyParts, at, "must have at most 8 parts")
	seen := map[string]bool{}
	for i, part := range r.Sticky {
		at, folded := at.index(i), foldedPart(KeyPart(part))
		c.must(!seen[folded], at, "is listed twice")
		seen[folded] = true
		if rule := c.stickyRule(part); rule != "" {
			c.obey(at, rule)
		} else if r.Auth != nil && c.report.trusted(route.key("auth")) {
			c.obey(at, nobodyRule(part, r.Auth))
		}
	}
}

func (c *checker) stickyRule(part StickyPart) string {
	if name, ok := part.Cookie(); ok {
		return cookieRule(name)
	}
	_, header := part.Header()
	_, claim := part.Claim()
	known := []KeyPart{KeyUser, KeyTenant, KeyAPIKey, KeyClientIP}
	if header || claim || slices.Contains(known, KeyPart(part)) {
		return c.keyPartRule(KeyPart(part))
	}
	return c.choiceRule(string(part), append(words(known), "header:NAME", "cookie:NAME", "claim:NAME"))
}

// nobodyRule says why no caller of the route has a part.
func nobodyRule(part StickyPart, auth *RouteAuth) string {
	_, claim := part.Claim()
	switch {
	case !part.OfCaller():
		return ""
	case auth.Public:
		return "keeps callers by " + shown(string(part)) + ", and the route is public: nobody is known"
	case claim:
		return claimlessRule(auth)
	case KeyPart(part) == KeyAPIKey && !slices.ContainsFunc(auth.callers(), func(q *Requirement) bool { return q.APIKey != "" }):
		return "keeps callers by apiKey, and the caller of the route is none of an API key"
	}
	return ""
}

// claimlessRule says why no caller of the route has claims.
func claimlessRule(auth *RouteAuth) string {
	switch {
	case auth.Public:
		return "needs a caller with claims, and the route is public"
	case !slices.ContainsFunc(auth.callers(), func(q *Requirement) bool { return q.JWT != "" || q.Introspection != "" }):
		return "needs a caller with claims, and the route takes no tokens"
	}
	return ""
}

// cookieRule judges the name of a cookie (RFC 6265, section 4.1.1).
func cookieRule(name string) string {
	switch {
	case name == "":
		return "must name the cookie, as cookie:session"
	case !isToken(name):
		return "must be a cookie's name: letters, digits and some signs, as - and _"
	case len(name) > maxHeaderName:
		return fmt.Sprintf("must have at most %d bytes", maxHeaderName)
	}
	return ""
}

// isCookieValue tells whether a cookie can have a value, without quotes (RFC
// 6265, section 4.1.1).
func isCookieValue(value string) bool {
	for i := range len(value) {
		if b := value[i]; b <= ' ' || b >= 0x7f || strings.IndexByte(`",;\`, b) >= 0 {
			return false
		}
	}
	return true
}
