package rollout

// Counts are the requests of one side.
type Counts struct {
	// Requests are those that ended, but for those that the client left, and those that
	// the side's open breaker kept from it.
	Requests uint64 `json:"requests"`
	// Failed are those of them that failed (see Failed), or were kept from it.
	Failed uint64 `json:"failed"`
	// Slow are those that took longer than the rollout's own bound (AbortWhen.P99).
	Slow uint64 `json:"slow"`
	// Latency has all of them but upgraded connections, which last as long as
	// their clients wish.
	Latency Histogram `json:"latency"`
}

// add adds what another has.
func (c *Counts) add(other *Counts) {
	c.Requests += other.Requests
	c.Failed += other.Failed
	c.Slow += other.Slow
	c.Latency.add(&other.Latency)
}

// ErrorRate is the share that failed; 0 of none.
func (c *Counts) ErrorRate() float64 { return share(c.Failed, c.Requests) }

// Sides are what both sides of a rollout did in one stretch of time.
type Sides struct {
	Canary Counts `json:"canary"`
	Stable Counts `json:"stable"`
}

func (s *Sides) add(other *Sides) {
	s.Canary.add(&other.Canary)
	s.Stable.add(&other.Stable)
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
