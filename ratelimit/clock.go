package ratelimit

import (
	"sync/atomic"
	"time"
)

// maxDrift is how far a clock goes on beside the time of day.
const maxDrift = time.Second

// clock is the time of day by a clock that neither stands nor jumps, as long as the
// two agree to maxDrift; then it is set. So windows and calendars begin when they
// should, and a bucket is not filled by a time of day that is corrected a little.
type clock struct {
	now    func() time.Time // with a monotonic reading
	anchor atomic.Pointer[time.Time]
}

func newClock(now func() time.Time) *clock {
	c, start := &clock{now: now}, now()
	c.anchor.Store(&start)
	return c
}

// micros is the time in microseconds since the epoch.
func (c *clock) micros() int64 {
	now, anchor := c.now(), c.anchor.Load()
	steady := anchor.Round(0).Add(now.Sub(*anchor)) // the time of day then, and what passed since
	if now.Round(0).Sub(steady).Abs() > maxDrift {
		c.anchor.Store(&now)
		return now.UnixMicro()
	}
	return steady.UnixMicro()
}
