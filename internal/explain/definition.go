package explain

import (
	"cmp"
	"fmt"
	"time"

	"github.com/gatewright/gatewright/config"
)

// definition is what a limit is, in words.
func definition(p config.LimitPlan) string {
	switch {
	case p.TokenBucket != nil:
		return fmt.Sprintf("%d at once, and %s after that", p.TokenBucket.Capacity, p.TokenBucket.Refill)
	case p.SlidingWindow != nil:
		return fmt.Sprintf("%d in any %s, counted by sixtieths of it", p.SlidingWindow.Limit, p.SlidingWindow.Window)
	case p.SlidingLog != nil:
		return fmt.Sprintf("%d in any %s, to the request", p.SlidingLog.Limit, p.SlidingLog.Window)
	case p.FixedWindow != nil:
		return fmt.Sprintf("%d in each %s, from multiples of it on", p.FixedWindow.Limit, p.FixedWindow.Window)
	case p.Quota != nil:
		return fmt.Sprintf("%d in each %s of the calendar (%s)", p.Quota.Limit, p.Quota.Per, cmp.Or(p.Quota.TimeZone, "UTC"))
	case p.Concurrency != nil:
		lease := config.Duration(p.Concurrency.Lease.Or(time.Minute))
		return fmt.Sprintf("%d at the same time, each for %s at most", p.Concurrency.Max, lease)
	}
	return "none"
}
