package config

import "strings"

// plans holds the plans of a limit to its own algorithm, and to a key by which
// somebody has a plan.
func (c *checker) plans(at *place, l *Limit) {
	if l.Plans == nil {
		return
	}
	c.must(len(l.Plans) > 0, at, "must have at least one plan")
	c.must(len(l.Key) == 0 || l.CountsCustomers(), at, "needs a key with user, tenant, apiKey or a claim: "+
		"callers of several plans would share one bucket, which has one size")
	for _, name := range sorted(l.Plans) {
		at := at.key(name)
		c.name(at, name)
		c.plan(at, l.Own(), *l.Plans[name])
	}
}

// plan holds a plan to the limit's algorithm and to its windows: one count, of one
// caller in two plans, cannot be of two windows.
func (c *checker) plan(at *place, own, p LimitPlan) {
	name := own.Algorithm()
	if len(own.algorithms()) != 1 {
		return // there is a fault already
	}
	for _, other := range p.algorithms() {
		c.must(other == name, at.key(other), "must be the limit's algorithm: "+name)
	}
	if p.Algorithm() == "" {
		c.obey(at, "must have the limit's algorithm: "+name)
		return
	}
	if p.Algorithm() != name {
		return
	}
	c.algorithm(at, p)
	sameWindow := func(field string, own, p *SlidingWindow) {
		c.must(p == nil || own.Window == p.Window, at.key(field).key("window"), "must be the limit's own window")
	}
	sameWindow("slidingWindow", own.SlidingWindow, p.SlidingWindow)
	sameWindow("slidingLog", own.SlidingLog, p.SlidingLog)
	sameWindow("fixedWindow", own.FixedWindow, p.FixedWindow)
	if p.Quota != nil {
		c.must(own.Quota.Per == p.Quota.Per, at.key("quota").key("per"), "must be the limit's own")
		c.must(own.Quota.TimeZone == p.Quota.TimeZone, at.key("quota").key("timeZone"), "must be the limit's own")
	}
	if p.Concurrency != nil {
		c.must(own.Concurrency.Lease.Or(defaultLease) == p.Concurrency.Lease.Or(defaultLease), at.key("concurrency").key("lease"), "must be the limit's own")
	}
}

// CountsCallers tells that a bucket of the limit is one caller's: a user's or an
// API key's.
func (l *Limit) CountsCallers() bool {
	return l.counts(func(p KeyPart) bool { return p == KeyUser || p == KeyAPIKey })
}

// CountsCustomers tells that nobody else's requests are in a bucket of the
// limit than a caller's, or those of callers who have a tenant or a claim in
// common. Only such a bucket can be sized by whose it is.
func (l *Limit) CountsCustomers() bool {
	return l.CountsCallers() || l.counts(func(p KeyPart) bool {
		return p == KeyTenant || strings.HasPrefix(string(p), KeyClaimPrefix)
	})
}

func (l *Limit) counts(by func(KeyPart) bool) bool {
	for _, part := range l.Key {
		if by(part) {
			return true
		}
	}
	return false
}
