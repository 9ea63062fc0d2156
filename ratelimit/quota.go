package ratelimit

import (
	"fmt"
	"time"

	"github.com/gatewright/gatewright/config"
)

// calendar is windows between the borders of a calendar. A day of a time zone has
// 23 hours, or 25, where its clocks are set.
type calendar struct {
	per  config.CalendarUnit
	zone *time.Location
}

// newQuota returns the counter that def describes. Errors are definitions that
// config.Load refuses too.
func newQuota(def config.Quota) (counter, error) {
	zone, err := def.Location()
	switch {
	case err != nil:
		return counter{}, err
	case def.Limit <= 0 || def.Limit > maxExact:
		return counter{}, fmt.Errorf("limit %d, must be from 1 to 2^53", def.Limit)
	}
	switch def.Per {
	case config.PerHour, config.PerDay, config.PerWeek, config.PerMonth:
		return counter{def.Limit, calendar{def.Per, zone}}, nil
	}
	return counter{}, fmt.Errorf("per %q, must be hour, day, week or month", def.Per)
}

func (c calendar) kind() string { return "q" }

func (c calendar) span(at int64) (start, end int64) {
	t := time.UnixMicro(at)
	return c.begin(t, 0).UnixMicro(), c.begin(t, 1).UnixMicro()
}

// begin is the beginning of the unit that t is in, or of one that is so many later.
func (c calendar) begin(t time.Time, later int) time.Time {
	t = t.In(c.zone)
	year, month, day := t.Date()
	switch c.per {
	case config.PerHour:
		return hour(t, later)
	case config.PerWeek:
		day += 7*later - (int(t.Weekday())+6)%7 // from Monday on
	case config.PerMonth:
		month, day = month+time.Month(later), 1
	default:
		day += later
	}
	return midnight(year, month, day, c.zone)
}

// hour is the last time until t, or one that is so many later, at which its clock
// shows a whole hour. Where clocks are set by half an hour, one is longer.
func hour(t time.Time, later int) time.Time {
	for past(t) > 0 {
		t = t.Add(-past(t))
	}
	for ; later > 0; later-- {
		for t = t.Add(time.Hour); past(t) > 0; {
			t = t.Add(time.Hour - past(t))
		}
	}
	return t
}

// past is what t's clock shows beside the hour.
func past(t time.Time) time.Duration {
	return time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
}

// midnight is when a day begins in a zone: where its clock leaps over midnight, at
// the leap; where it shows midnight twice, at the first.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	set, next := t.ZoneBounds()
	if shown := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC); shown.Before(time.Date(year, month, day, 0, 0, 0, 0, time.UTC)) {
		return next // there is no such midnight, and t is before where it would be
	}
	if set.IsZero() {
		return t
	}
	_, offset := t.Zone()
	_, before := set.Add(-1).Zone()
	if first := t.Add(time.Duration(offset-before) * time.Second); offset < before && first.Before(set) {
		return first
	}
	return t
}

// spanWords are the borders around now: Redis' clock chooses between them. So it
// may differ from this process' by a unit before and two after.
func (c calendar) spanWords(to []int64, now int64) []int64 {
	t := time.UnixMicro(now)
	start := c.begin(t, 0)
	before := c.begin(start.Add(-time.Microsecond), 0)
	to = append(to, before.UnixMicro())
	for later := range 4 {
		to = append(to, c.begin(t, later).UnixMicro())
	}
	return to
}
