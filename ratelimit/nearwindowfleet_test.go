package ratelimit

import (
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// fleetWindow is a limit by windows under the load of a fleet, and how many of its
// windows a time touches.
type fleetWindow struct {
	limit   config.Limit
	most    int64
	windows func(begin, end time.Time) int64
}

func fleetWindows() map[string]fleetWindow {
	one := func(time.Time, time.Time) int64 { return 1 }
	return map[string]fleetWindow{
		"fixedWindow 1s": {
			config.Limit{FixedWindow: &config.SlidingWindow{Limit: 1000, Window: config.Duration(time.Second)}}, 1000,
			func(begin, end time.Time) int64 { return end.Unix() - begin.Unix() + 1 },
		},
		"slidingWindow 6s": {config.Limit{SlidingWindow: &config.SlidingWindow{Limit: 3000, Window: config.Duration(6 * time.Second)}}, 3000, one},
		"slidingWindow 1m": {config.Limit{SlidingWindow: &config.SlidingWindow{Limit: 3000, Window: config.Duration(time.Minute)}}, 3000, one},
		"quota day":        {config.Limit{Quota: &config.Quota{Limit: 3000, Per: config.PerDay, TimeZone: "Pacific/Kiritimati"}}, 3000, one},
	}
}

// Four instances under full load admit no more than the limit in a window with leases,
// and all but a few of those; with sync no more than (N−1)·min(L, a·S) beside it.
func TestFleetOfWindows(t *testing.T) {
	const instances = 4
	for name, w := range fleetWindows() {
		for _, consistency := range []config.Consistency{config.Exact, config.Lease, config.Sync} {
			t.Run(name+" "+string(consistency), func(t *testing.T) {
				w.limit.Name, w.limit.Key, w.limit.OnStoreFailure = "l", []config.KeyPart{config.KeyUser}, config.FailDeny
				w.limit.Consistency = consistency
				l := underLoad(t, &w.limit, 1, 2*time.Second)
				end := time.Now()
				windows := w.windows(end.Add(-l.took), end)
				exact, n := w.most*windows, int64(len(l.admitted))
				t.Logf("%d decisions, %d admitted, where exact limits admit at most %d; %.5f scripts a decision",
					l.decided, n, exact, float64(l.scripts)/float64(l.decided))
				bound := exact
				if consistency == config.Sync { // at full load a·S is more than the limit
					bound += (instances - 1) * w.most * windows
				}
				if n > bound {
					t.Errorf("%d admitted, want at most %d", n, bound)
				}
				if full := w.most * max(windows-2, 1); n < full*9/10 { // the first and the last may be short
					t.Errorf("%d admitted, less than nine tenths of %d", n, full)
				}
			})
		}
	}
}

// What nobody uses of a window goes back: when the key is idle, and when the process
// ends; the window counts exactly what was spent.
func TestWindowsAheadAreGivenBack(t *testing.T) {
	for name, w := range fleetWindows() {
		for _, ends := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				if name == "fixedWindow 1s" {
					t.Skip("the window is over before the key is idle")
				}
				server, l, spent := aheadOf(t, &w.limit)
				if ends {
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
				}
				look := open(t, Settings{RedisURL: server.URL(), RedisTimeout: 10 * time.Second}, nil)
				exact := w.limit
				exact.Consistency = config.Exact
				take := charges(&exact)
				take[0].Cost = NoCost
				left := func() int64 { return look.Take(t.Context(), take).Remaining }
				if ends && left() != w.most-spent {
					t.Errorf("%d left of %d, want %d: %d were spent", left(), w.most, w.most-spent, spent)
				}
				waitFor(t, "what is not spent to be given back", func() bool { return left() == w.most-spent })
			})
		}
	}
}

// aheadOf is a limiter that holds some of a window, and how many were spent.
func aheadOf(t *testing.T, limit *config.Limit) (*testenv.Redis, *Limiter, int64) {
	server := testenv.StartRedis(t)
	l := open(t, Settings{RedisURL: server.URL(), RedisTimeout: 10 * time.Second}, nil)
	limit.Name, limit.Key, limit.OnStoreFailure, limit.Consistency = "l", []config.KeyPart{config.KeyUser}, config.FailDeny, config.Lease
	spent := int64(0)
	waitFor(t, "a share", func() bool {
		for range 10 {
			if l.Take(t.Context(), charges(limit)).Allowed {
				spent++
			}
		}
		home := l.near.leases.shares.home(bucketKey(limit, []string{"alice"}, config.Allowance{}))
		home.mu.Lock()
		defer home.mu.Unlock()
		for _, s := range home.of {
			if s.tokens > 0 {
				return true
			}
		}
		return false
	})
	return server, l, spent
}
