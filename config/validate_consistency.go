package config

// consistency refuses what an algorithm cannot be shared by.
func (c *checker) consistency(at *place, l *Limit) {
	switch l.Consistency {
	case Sync:
		c.notYet(at, "limits shared by sync")
	case Lease:
		c.must(l.TokenBucket != nil, at, "must be exact but for a tokenBucket, of which tokens can be held by an instance")
	default:
		oneOf(c, at, l.Consistency, Exact, Lease, Sync)
	}
}
