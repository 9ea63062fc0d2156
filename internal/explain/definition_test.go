package explain

import (
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

func TestDefinitionsInWords(t *testing.T) {
	t.Parallel()
	window := &config.SlidingWindow{Limit: 5, Window: config.Duration(time.Minute)}
	for want, p := range map[string]config.LimitPlan{
		"20 at once, and 10/s after that":                 {TokenBucket: &config.TokenBucket{Capacity: 20, Refill: config.Rate{Events: 10, Per: time.Second}}},
		"5 in any 1m, counted by sixtieths of it":         {SlidingWindow: window},
		"5 in any 1m, to the request":                     {SlidingLog: window},
		"5 in each 1m, from multiples of it on":           {FixedWindow: window},
		"7 in each month of the calendar (Europe/Vienna)": {Quota: &config.Quota{Limit: 7, Per: config.PerMonth, TimeZone: "Europe/Vienna"}},
		"7 in each day of the calendar (UTC)":             {Quota: &config.Quota{Limit: 7, Per: config.PerDay}},
		"3 at the same time, each for 1m at most":         {Concurrency: &config.Concurrency{Max: 3}},
		"3 at the same time, each for 30s at most":        {Concurrency: &config.Concurrency{Max: 3, Lease: config.Duration(30 * time.Second)}},
	} {
		if got := definition(p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
