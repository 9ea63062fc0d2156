package config

// consistency refuses what an algorithm cannot be shared by.
func (c *checker) consistency(at *place, l *Limit) {
	oneOf(c, at, l.Consistency, Exact, Lease, Sync)
	if l.Consistency == Lease || l.Consistency == Sync {
		c.must(l.TokenBucket != nil, at, "must be exact but for a tokenBucket, of which an instance can hold a part")
	}
}
