package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The shortest and the longest window. A year that is a leap year is in it.
const (
	minWindow = time.Second
	maxWindow = 366 * 24 * time.Hour
)

// defaultLease is the Lease of a Concurrency that says none.
const defaultLease = time.Minute

// algorithm holds what a limit is to exactly one algorithm, and its numbers to what
// can be counted exactly.
func (c *checker) algorithm(at *place, p LimitPlan) {
	names := p.algorithms()
	switch {
	case len(names) == 0:
		c.obey(at, "must have an algorithm: tokenBucket, slidingWindow, slidingLog, fixedWindow, quota or concurrency")
	case len(names) > 1:
		c.obey(at, "must have one algorithm, not "+strings.Join(names, " and "))
	}
	if p.TokenBucket != nil {
		c.tokenBucket(at.key("tokenBucket"), p.TokenBucket)
	}
	c.window(at.key("slidingWindow"), p.SlidingWindow, maxCount)
	c.window(at.key("slidingLog"), p.SlidingLog, maxLog)
	c.window(at.key("fixedWindow"), p.FixedWindow, maxCount)
	c.quota(at.key("quota"), p.Quota)
	c.concurrency(at.key("concurrency"), p.Concurrency)
}

func (c *checker) window(at *place, w *SlidingWindow, most int64) {
	if w == nil {
		return
	}
	c.between(at.key("limit"), 1, w.Limit, most)
	c.within(at.key("window"), minWindow, w.Window, maxWindow)
}

func (c *checker) quota(at *place, q *Quota) {
	if q == nil {
		return
	}
	c.between(at.key("limit"), 1, q.Limit, maxCount)
	oneOf(c, at.key("per"), q.Per, PerHour, PerDay, PerWeek, PerMonth)
	if _, err := q.Location(); err != nil {
		c.obey(at.key("timeZone"), "must be a time zone by IANA's name, as Europe/Vienna")
	}
}

func (c *checker) concurrency(at *place, n *Concurrency) {
	if n == nil {
		return
	}
	c.between(at.key("max"), 1, n.Max, maxFlights)
	if n.Lease != 0 {
		c.within(at.key("lease"), minWindow, n.Lease, maxDuration)
	}
}

// ends holds a limit of concurrency, where it is charged, to doors that tell when a
// request ends.
func (c *checker) ends(at *place, l *Limit) {
	filtered := func(l *Listener) bool { return l != nil && l.RateLimit == RateLimitFilter }
	if l.Concurrency != nil && slices.ContainsFunc(c.cfg.Listeners, filtered) {
		c.notYet(at, "limits of concurrency where a listener has rateLimit: filter, which does not say which request has ended")
	}
}

// within holds a duration to a range, both ends included.
func (c *checker) within(at *place, low time.Duration, d Duration, high time.Duration) {
	if d < Duration(low) || d > Duration(high) {
		c.obey(at, fmt.Sprintf("must be from %s to %s", Duration(low), Duration(high)))
	}
}
