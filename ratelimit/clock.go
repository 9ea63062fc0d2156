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
	day    func(time.Time) time.Time
	anchor atomic.Pointer[anchor]
}

// anchor is a moment by both clocks.
type anchor struct{ steady, day time.Time }

func newClock(now func() time.Time) *clock {
	c := &clock{now: now, day: func(t time.Time) time.Time { return t.Round(0) }}
	c.set(now())
	return c
}

func (c *clock) set(now time.Time) time.Time {
	a := &anchor{now, c.day(now)}
	c.anchor.Store(a)
	return a.day
}

// micros is the time in microseconds since the epoch.
func (c *clock) micros() int64 {
	now, a := c.now(), c.anchor.Load()
	steady := a.day.Add(now.Sub(a.steady))
	if c.day(now).Sub(steady).Abs() > maxDrift {
		steady = c.set(now)
	}
	return steady.UnixMicro()
}
