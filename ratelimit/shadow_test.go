package ratelimit

import (
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// TestLimitsInShadow deny nobody, keep no other limit from being charged, and are
// charged by themselves, whether the others deny or not; in memory and in Redis.
func TestLimitsInShadow(t *testing.T) {
	for name, settings := range map[string]Settings{
		"memory":    {},
		"Redis":     {RedisURL: testenv.StartRedis(t).URL(), RedisTimeout: day},
		"a cluster": {RedisURL: testenv.StartRedisCluster(t, day).URL(), RedisTimeout: day},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, settings, nil)
			tried, tighter, real := perUser("tried", 2, ""), perUser("tighter", 1, ""), perUser("real", 3, "")
			tried.Mode, tighter.Mode = config.ModeShadow, config.ModeShadow
			for i, want := range []struct {
				allowed bool
				left    int64
				shadow  []string
			}{
				{true, 2, nil}, {true, 1, []string{"tighter"}}, {true, 0, []string{"tried", "tighter"}}, {false, 0, []string{"tried", "tighter"}},
			} {
				d := l.Take(t.Context(), charges(tried, real, tighter))
				slices.Sort(d.Shadow)
				slices.Sort(want.shadow)
				if d.Allowed != want.allowed || d.Limit != "real" || d.Remaining != want.left || !slices.Equal(d.Shadow, want.shadow) {
					t.Errorf("request %d: %+v, want %+v", i, d, want)
				}
			}
			if d := l.Take(t.Context(), charges(tried)); !d.Allowed || d.Limit != "" || !slices.Equal(d.Shadow, []string{"tried"}) {
				t.Errorf("nothing but a shadow: %+v", d)
			}
			if _, verdicts := l.decide(t.Context(), charges(tried, perUser("other", 9, ""), tighter)); len(verdicts) != 3 || !verdicts[0].Allowed || !verdicts[1].Allowed || !verdicts[2].Allowed || verdicts[1].Remaining != 8 {
				t.Errorf("verdicts %+v", verdicts)
			}
			if got, want := fmt.Sprint(l.ShadowStatus()), "[{tighter 5 4} {tried 6 4}]"; got != want {
				t.Errorf("status %s, want %s", got, want)
			}
			for result, want := range map[result]float64{resultShadowAllowed: 2, resultShadowDenied: 4, resultAllowed: 0, resultDenied: 0} {
				if n := testutil.ToFloat64(l.metrics.decisions.WithLabelValues("tried", result.String())); n != want {
					t.Errorf("%v × %s, want %v", n, result, want)
				}
			}
			if _, ok := l.Recall(charges(tried)); ok {
				t.Error("a shadow denies by memory")
			}
		})
	}
}

// TestShadowsShareTheCall: a request is one call of Redis, with limits in shadow beside
// the others.
func TestShadowsShareTheCall(t *testing.T) {
	l := open(t, Settings{RedisURL: testenv.StartRedis(t).URL(), RedisTimeout: day}, nil)
	tried, tighter, real := perUser("tried", 5, ""), perUser("tighter", 1, ""), perUser("real", 3, "")
	tried.Mode, tighter.Mode = config.ModeShadow, config.ModeShadow
	for range 4 {
		before := storeCalls(t, l)
		l.Take(t.Context(), charges(tried, real, tighter))
		if n := storeCalls(t, l) - before; n != 1 {
			t.Errorf("%d calls of Redis, want 1", n)
		}
	}
}

// TestShadowsWithoutRedis: a limit in shadow that denies without Redis denies nobody, and
// one beside it that does is what it is alone.
func TestShadowsWithoutRedis(t *testing.T) {
	l := open(t, unreachable(t), nil)
	tried, real := perUser("tried", 1, config.FailDeny), perUser("real", 2, config.FailLocal)
	tried.Mode = config.ModeShadow
	if d := l.Take(t.Context(), charges(tried, real)); !d.Allowed || !d.StoreDown || d.Limit != "real" || d.Remaining != 1 {
		t.Errorf("%+v, want allowed by the portion", d)
	}
	real.OnStoreFailure = config.FailDeny
	if d := l.Take(t.Context(), charges(tried, real)); d.Allowed || !d.Unavailable {
		t.Errorf("%+v, want unavailable", d)
	}
}
