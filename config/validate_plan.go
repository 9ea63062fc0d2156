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
		p := l.Plans[name]
		c.must(p.TokenBucket != nil, at, "must have the limit's algorithm: tokenBucket")
		if p.TokenBucket != nil {
			c.tokenBucket(at.key("tokenBucket"), p.TokenBucket)
		}
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
