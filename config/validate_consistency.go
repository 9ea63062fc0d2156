package config

import "time"

// leastLeasedWindow is the shortest slidingWindow that can be leased. What an instance
// takes of it ahead is spent before the end of the slot that it counts in, a sixtieth
// of the window: 100 ms.
const leastLeasedWindow = 6 * time.Second

// consistency refuses what an algorithm cannot be shared by.
func (c *checker) consistency(at *place, l *Limit) {
	oneOf(c, at, l.Consistency, Exact, Lease, Sync)
	if l.Consistency != Lease && l.Consistency != Sync {
		return
	}
	switch {
	case l.SlidingLog != nil:
		c.obey(at, "must be exact with a slidingLog, which holds the time of each request: no instance can have a part of it before the requests are there, "+
			"nor tell of them later")
	case l.Concurrency != nil:
		c.obey(at, "must be exact with concurrency: each request in flight is counted by itself, and may end at another instance")
	case l.SlidingWindow != nil && l.Consistency == Lease:
		c.must(time.Duration(l.SlidingWindow.Window) >= leastLeasedWindow, at, "must be exact or sync with a slidingWindow of less than 6s: "+
			"what an instance has taken of it ahead cannot be spent in time")
	}
}
