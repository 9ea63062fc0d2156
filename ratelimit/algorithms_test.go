package ratelimit

import (
	"context"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

// move is one take of a case.
type move struct {
	at        string // a time of 2026, as 03-29 01:59:59.999999
	cost      int64
	by        *config.LimitPlan // instead of the case's
	allowed   bool
	remaining int64
	retry     time.Duration
}

// The same cases on memory and on Redis, for each algorithm.
func TestAlgorithms(t *testing.T) {
	window := func(limit int64, d time.Duration) *config.SlidingWindow {
		return &config.SlidingWindow{Limit: limit, Window: config.Duration(d)}
	}
	quota := func(limit int64, per config.CalendarUnit, zone string) config.LimitPlan {
		return config.LimitPlan{Quota: &config.Quota{Limit: limit, Per: per, TimeZone: zone}}
	}
	hourly := &config.LimitPlan{SlidingWindow: window(5, time.Hour)}
	cases := map[string]struct {
		by    config.LimitPlan
		moves []move
	}{
		"a sliding window counts whole seconds of a minute": {config.LimitPlan{SlidingWindow: window(5, time.Minute)}, []move{
			{at: "01-02 00:00:00.5", cost: 3, allowed: true, remaining: 2},
			{at: "01-02 00:00:30", cost: 2, allowed: true},
			{at: "01-02 00:00:59.999999", cost: 1, retry: time.Second + time.Microsecond}, // the whole of the first second
			{at: "01-02 00:01:00.999999", cost: 1, retry: time.Microsecond},
			{at: "01-02 00:01:01", cost: 1, allowed: true, remaining: 2},
			{at: "01-02 00:01:01", cost: 3, remaining: 2, retry: 30 * time.Second},
			{at: "01-02 00:01:31", cost: 4, allowed: true},
			{at: "01-02 00:01:31", cost: 6, retry: Never},
		}},
		"a sliding window of another length keeps what it knows": {config.LimitPlan{SlidingWindow: window(5, time.Minute)}, []move{
			{at: "01-02 00:00:10", cost: 2, allowed: true, remaining: 3},
			{at: "01-02 00:00:20", cost: 2, by: hourly, allowed: true, remaining: 1},
			{at: "01-02 00:00:30", cost: 1, allowed: true},                  // a minute again
			{at: "01-02 00:01:20.999999", cost: 1, retry: time.Microsecond}, // as late as those can have been
			{at: "01-02 00:01:21", cost: 5, remaining: 4, retry: 10 * time.Second},
			{at: "01-02 00:01:31", cost: 5, allowed: true},
		}},
		"a sliding log is exact": {config.LimitPlan{SlidingLog: window(3, time.Minute)}, []move{
			{at: "01-02 00:00:00.5", cost: 2, allowed: true, remaining: 1},
			{at: "01-02 00:00:30", cost: 1, allowed: true},
			{at: "01-02 00:01:00.499999", cost: 2, retry: time.Microsecond},
			{at: "01-02 00:01:00.5", cost: 3, remaining: 2, retry: 29*time.Second + 500*time.Millisecond},
			{at: "01-02 00:01:00.5", cost: 2, allowed: true},
			{at: "01-02 00:01:00.5", cost: 4, retry: Never},
		}},
		"a fixed window begins at multiples of itself": {config.LimitPlan{FixedWindow: window(2, time.Minute)}, []move{
			{at: "01-02 00:00:59.999999", cost: 2, allowed: true},
			{at: "01-02 00:00:59.999999", cost: 1, retry: time.Microsecond},
			{at: "01-02 00:01:00", cost: 2, allowed: true}, // four within a microsecond: twice the limit
			{at: "01-02 00:01:00", cost: 1, retry: time.Minute},
			{at: "01-02 00:00:30", cost: 1, retry: 90 * time.Second}, // the clock is set back
		}},
		"a day has 23 hours when clocks are set ahead": {quota(2, config.PerDay, "Europe/Vienna"), []move{
			{at: "03-28 22:59:59.999999", cost: 2, allowed: true},
			{at: "03-28 22:59:59.999999", cost: 1, retry: time.Microsecond},
			{at: "03-28 23:00:00", cost: 2, allowed: true},
			{at: "03-28 23:00:00", cost: 1, retry: 23 * time.Hour},
		}},
		"a day has 25 hours when clocks are set back": {quota(1, config.PerDay, "Europe/Vienna"), []move{
			{at: "10-24 22:00:00", cost: 1, allowed: true},
			{at: "10-24 22:00:00", cost: 1, retry: 25 * time.Hour},
		}},
		"an hour that a clock shows twice is two": {quota(1, config.PerHour, "Europe/Vienna"), []move{
			{at: "10-25 00:30:00", cost: 1, allowed: true}, // 02:30 of summer
			{at: "10-25 00:30:00", cost: 1, retry: 30 * time.Minute},
			{at: "10-25 01:30:00", cost: 1, allowed: true}, // 02:30 again
		}},
		"an hour where clocks are set by half of one": {quota(1, config.PerHour, "Australia/Lord_Howe"), []move{
			{at: "04-04 14:30:00", cost: 1, allowed: true}, // 01:30 of summer
			{at: "04-04 15:00:00", cost: 1, retry: 30 * time.Minute},
			{at: "04-04 15:29:59.999999", cost: 1, retry: time.Microsecond},
			{at: "04-04 15:30:00", cost: 1, allowed: true}, // 02:00
		}},
		"midnight is shown twice": {quota(1, config.PerDay, "America/Havana"), []move{
			{at: "11-01 03:59:59.999999", cost: 1, allowed: true},
			{at: "11-01 04:00:00", cost: 1, allowed: true}, // the first 00:00; an hour later there is another
			{at: "11-01 05:00:00", cost: 1, retry: 24 * time.Hour},
		}},
		"there is no midnight": {quota(1, config.PerDay, "America/Havana"), []move{
			{at: "03-08 04:59:59.999999", cost: 1, allowed: true},
			{at: "03-08 05:00:00", cost: 1, allowed: true}, // 01:00, after 23:59:59
			{at: "03-08 05:00:00", cost: 1, retry: 23 * time.Hour},
		}},
		"a week begins on Monday": {quota(1, config.PerWeek, ""), []move{
			{at: "01-04 23:59:59.999999", cost: 1, allowed: true}, // a Sunday
			{at: "01-05 00:00:00", cost: 1, allowed: true},
			{at: "01-11 23:59:59.999999", cost: 1, retry: time.Microsecond},
			{at: "01-12 00:00:00", cost: 1, allowed: true},
		}},
		"February is short": {quota(1, config.PerMonth, ""), []move{
			{at: "02-01 00:00:00", cost: 1, allowed: true},
			{at: "02-01 00:00:00", cost: 1, retry: 28 * day},
			{at: "03-01 00:00:00", cost: 1, allowed: true},
			{at: "03-01 00:00:00", cost: 1, retry: 31 * day},
		}},
		"a request in flight counts for its lease": {config.LimitPlan{Concurrency: &config.Concurrency{Max: 2}}, []move{
			{at: "01-02 00:00:00", cost: 1, allowed: true, remaining: 1},
			{at: "01-02 00:00:10", cost: 1, allowed: true},
			{at: "01-02 00:00:20", cost: 1, retry: 40 * time.Second},
			{at: "01-02 00:01:00", cost: 1, allowed: true},
		}},
	}
	onEachStore(t, func(t *testing.T, s storeUnderTest) {
		id := int64(0)
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				s.clear()
				for i, m := range c.moves {
					at, err := time.Parse("2006-01-02 15:04:05", "2026-"+m.at)
					if err != nil {
						t.Fatal(err)
					}
					s.clock.Store(at.UnixMicro())
					by := c.by
					if m.by != nil {
						by = *m.by
					}
					demand := of(define(t, by), m.cost)
					demand.ID, id = id, id+m.cost
					results, err := s.take(context.Background(), []item{{"k", demand}})
					if err != nil {
						t.Fatal(err)
					}
					if r := results[0]; r.Allowed != m.allowed || r.Remaining != m.remaining || r.RetryAfter != m.retry {
						t.Errorf("move %d: %+v, want allowed %t, remaining %d, retry after %v", i, r, m.allowed, m.remaining, m.retry)
					}
				}
			})
		}
	})
}

// What a store holds that we have not written counts as nothing, and is overwritten:
// for each kind of value, other types and junk of the same type.
func TestRedisOverwritesForeignValuesOfAllKinds(t *testing.T) {
	onEachStore(t, func(t *testing.T, s storeUnderTest) {
		server := s.server
		if server == nil {
			return // memory holds what we have written alone
		}
		s.clock.Store(1_700_000_000_000_000)
		for kind, plan := range map[string]config.LimitPlan{
			"w": {SlidingWindow: &config.SlidingWindow{Limit: 3, Window: config.Duration(time.Minute)}},
			"l": {SlidingLog: &config.SlidingWindow{Limit: 3, Window: config.Duration(time.Minute)}},
			"n": {Concurrency: &config.Concurrency{Max: 3}},
			"f": {FixedWindow: &config.SlidingWindow{Limit: 3, Window: config.Duration(time.Minute)}},
			"q": {Quota: &config.Quota{Limit: 3, Per: config.PerDay}},
		} {
			key := redisPrefix + "k"
			for name, write := range map[string][]any{
				"text":                 {"SET", key, "junk"},
				"another version":      {"SET", key, "1" + doubles(3, 1700000000000000, 1800000000000000)},
				"as it was once":       {"SET", key, "1:3:1700000000000000:1800000000000000"},
				"a count above 2^53":   {"SET", key, "2" + doubles(9007199254740994, 1700000000000000, 1800000000000000)},
				"a count below 0":      {"SET", key, "2" + doubles(-3, 1700000000000000, 1800000000000000)},
				"a number too many":    {"SET", key, "2" + doubles(3, 1700000000000000, 1800000000000000, 1)},
				"a list":               {"RPUSH", key, "1"},
				"a set":                {"SADD", key, "1"},
				"a hash":               {"HSET", key, "m", "x", "5666666", "3"},
				"a hash of far slots":  {"HSET", key, "m", "1:60000000:1700000000000000:3:1", "1700000000", "3"},
				"a hash with no limit": {"HSET", key, "m", "1:60000000:99999999999999999999:3:1700000000"},
				"scores that are none": {"ZADD", key, "inf", "a", "inf", "b", "inf", "c"},
				"scores that are half": {"ZADD", key, "1699999999999999.5", "a"},
			} {
				t.Run(kind+" "+name, func(t *testing.T) {
					server.Do("FLUSHALL")
					server.Do(write...)
					for left := int64(2); left >= 0; left-- {
						demand := of(define(t, plan), 1)
						demand.ID = left
						results, err := s.take(context.Background(), []item{{"k", demand}})
						if err != nil || !results[0].Allowed || results[0].Remaining != left {
							t.Fatalf("%+v, %v, want %d left", results, err, left)
						}
					}
				})
			}
		}
	})
}

// A charge that is forced on a full log takes nothing, and the log drops what has left
// its window all the same: what another definition may still find in it is one thing.
func TestForcedOnAFullLog(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, s storeUnderTest) {
		long, short := slidingLog{limit: 2, window: 61_000}, slidingLog{limit: 1, window: 1000}
		ask := func(at int64, o op, d slidingLog, cost, id int64) Result {
			t.Helper()
			s.clock.Store(at)
			results, err := s.run(context.Background(), []call{{op: o, items: []item{{"k", Demand{Definition: d, Cost: cost, ID: id}}}}})
			if err != nil {
				t.Fatal(err)
			}
			return results[0][0]
		}
		ask(1, opTake, long, 1, 1)
		ask(1001, opTake, long, 1, 2)
		ask(1001, opForce, short, 1, 3)
		if r := ask(1001, opTake, long, 0, 4); !r.Allowed || r.Remaining != 1 {
			t.Errorf("after it: %+v, want one request in the log and room for one", r)
		}
	})
}
