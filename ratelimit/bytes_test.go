package ratelimit

import (
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

// What a key takes in Redis is what README.md says: as MEMORY USAGE tells, for a key
// of some 40 bytes, when the limit is used to its end and evenly.
func TestRedisBytesPerKey(t *testing.T) {
	onEachStore(t, func(t *testing.T, s storeUnderTest) {
		if s.server == nil {
			return
		}
		minute := config.Duration(time.Minute)
		for name, c := range map[string]struct {
			plan config.LimitPlan
			most int64
		}{
			"a token bucket":                     {config.LimitPlan{TokenBucket: &config.TokenBucket{Capacity: 100, Refill: config.Rate{Events: 1, Per: time.Minute}}}, 170},
			"a fixed window":                     {config.LimitPlan{FixedWindow: &config.SlidingWindow{Limit: 100, Window: minute}}, 170},
			"a quota":                            {config.LimitPlan{Quota: &config.Quota{Limit: 100, Per: config.PerMonth}}, 170},
			"a sliding window, used in one slot": {config.LimitPlan{SlidingWindow: &config.SlidingWindow{Limit: 1, Window: minute}}, 200},
			"a sliding window, all slots":        {config.LimitPlan{SlidingWindow: &config.SlidingWindow{Limit: 60, Window: minute}}, 900},
			"a log of 10":                        {config.LimitPlan{SlidingLog: &config.SlidingWindow{Limit: 10, Window: minute}}, 400},
			"a log of 100":                       {config.LimitPlan{SlidingLog: &config.SlidingWindow{Limit: 100, Window: minute}}, 2_800},
			"a log of 10000":                     {config.LimitPlan{SlidingLog: &config.SlidingWindow{Limit: 10_000, Window: minute}}, 1_400_000},
			"100 in flight":                      {config.LimitPlan{Concurrency: &config.Concurrency{Max: 100}}, 2_800},
		} {
			t.Run(name, func(t *testing.T) {
				s.clear()
				d, now := define(t, c.plan), int64(1_700_000_000_000_000)
				for i := range d.most() {
					s.clock.Store(now + i*(minute.Or(0).Microseconds()-1)/d.most())
					demand := of(d, 1)
					demand.ID = 1<<52 + i
					if !allowed(t, s, []item{{"per-customer:acme-corporation", demand}}) {
						t.Fatal("denied")
					}
				}
				bytes := s.server.Do("MEMORY", "USAGE", redisPrefix+"per-customer:acme-corporation", "SAMPLES", "0").(int64)
				t.Logf("%d bytes", bytes)
				if bytes > c.most {
					t.Errorf("%d bytes, documented are %d at most", bytes, c.most)
				}
			})
		}
	})
}
