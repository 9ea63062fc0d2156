package diff

import (
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

func TestWhichLimitAdmitsNoMore(t *testing.T) {
	t.Parallel()
	window := func(n int64, d time.Duration) *config.SlidingWindow {
		return &config.SlidingWindow{Limit: n, Window: config.Duration(d)}
	}
	sliding := func(n int64, d time.Duration) config.LimitPlan {
		return config.LimitPlan{SlidingWindow: window(n, d)}
	}
	log := func(n int64, d time.Duration) config.LimitPlan { return config.LimitPlan{SlidingLog: window(n, d)} }
	quota := func(n int64, per config.CalendarUnit) config.LimitPlan {
		return config.LimitPlan{Quota: &config.Quota{Limit: n, Per: per}}
	}
	flights := func(n int64, lease time.Duration) config.LimitPlan {
		return config.LimitPlan{Concurrency: &config.Concurrency{Max: n, Lease: config.Duration(lease)}}
	}
	for name, c := range map[string]struct {
		now, before config.LimitPlan
		want        bool
	}{
		"the same":                   {sliding(5, time.Minute), sliding(5, time.Minute), true},
		"fewer":                      {sliding(4, time.Minute), sliding(5, time.Minute), true},
		"more":                       {sliding(6, time.Minute), sliding(5, time.Minute), false},
		"another window":             {sliding(5, time.Hour), sliding(5, time.Minute), false}, // its slots are others
		"a log over longer":          {log(5, time.Hour), log(5, time.Minute), true},
		"a log over less":            {log(5, time.Second), log(5, time.Minute), false},
		"another algorithm":          {log(1, time.Hour), sliding(5, time.Minute), false},
		"a quota of fewer":           {quota(4, config.PerDay), quota(5, config.PerDay), true},
		"a quota of another unit":    {quota(4, config.PerHour), quota(5, config.PerDay), false},
		"flights that last longer":   {flights(5, time.Hour), flights(5, 0), true},
		"flights of the usual lease": {flights(5, time.Minute), flights(5, 0), true},
		"flights forgotten sooner":   {flights(5, time.Second), flights(5, 0), false},
	} {
		if got := admitsNoMore(c.now, c.before); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
	fixed := func(n int64) *config.SlidingWindow { return window(n, time.Minute) }
	before := &config.Limit{FixedWindow: fixed(5), Plans: map[string]*config.LimitPlan{"gold": {FixedWindow: fixed(9)}}}
	if after := (&config.Limit{FixedWindow: fixed(5), Plans: map[string]*config.LimitPlan{"gold": {FixedWindow: fixed(10)}}}); tighterForAll(after, before) {
		t.Error("a plan that has more is not noticed")
	}
	if after := (&config.Limit{FixedWindow: fixed(4)}); !tighterForAll(after, before) {
		t.Error("a plan that is gone, and so has less, counts as more")
	}
}
