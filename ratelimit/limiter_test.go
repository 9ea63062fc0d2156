package ratelimit

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// open is a limiter that ends with the test.
func open(t testing.TB, s Settings, reg prometheus.Registerer) *Limiter {
	t.Helper()
	l, err := Open(s, quiet, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// perUser is a limit by user with a bucket that hardly refills.
func perUser(name string, capacity int64, onFailure config.OnStoreFailure) *config.Limit {
	return &config.Limit{
		Name: name, Key: []config.KeyPart{config.KeyUser},
		TokenBucket:    &config.TokenBucket{Capacity: capacity, Refill: config.Rate{Events: 1, Per: day}},
		OnStoreFailure: onFailure,
	}
}

func charges(limits ...*config.Limit) []Charge {
	var cs []Charge
	for _, l := range limits {
		cs = append(cs, Charge{Limit: l, Key: []string{"alice"}})
	}
	return cs
}

func TestZeroDecisionDenies(t *testing.T) {
	if (Decision{}).Allowed {
		t.Error("the zero decision allows")
	}
}

func TestTakeWithoutRedis(t *testing.T) {
	l := open(t, Settings{}, nil)
	wide, narrow := perUser("wide", 10, ""), perUser("narrow", 2, "")
	ctx := context.Background()

	if d := l.Take(ctx, nil); !reflect.DeepEqual(d, Decision{Allowed: true}) {
		t.Errorf("without charges: %+v, want allowed", d)
	}
	for left := int64(1); left >= 0; left-- {
		d := l.Take(ctx, charges(wide, narrow))
		if !d.Allowed || d.Limit != "narrow" || d.Capacity != 2 || d.Remaining != left || d.StoreDown || d.RetryAfter != 0 {
			t.Errorf("got %+v, want allowed and narrow with %d left", d, left)
		}
	}
	d := l.Take(ctx, charges(wide, narrow))
	if d.Allowed || d.Limit != "narrow" || d.Remaining != 0 || d.Unavailable {
		t.Errorf("got %+v, want denied by narrow", d)
	}
	if d.RetryAfter < day-time.Minute || d.RetryAfter > day {
		t.Errorf("retry after %v, want a day", d.RetryAfter)
	}
	if d := l.Take(ctx, charges(wide)); d.Remaining != 7 {
		t.Errorf("wide has %d left, want 7: the denied request was not charged", d.Remaining)
	}
}

// A denial is told by the limit that denies for longest, so that after its
// RetryAfter the whole request passes.
func TestTakeReportsTheLongestDenial(t *testing.T) {
	l := open(t, Settings{}, nil)
	slow, fast := perUser("slow", 1, ""), perUser("fast", 1, "")
	fast.TokenBucket.Refill = config.Rate{Events: 1, Per: time.Hour}
	for _, order := range [][]*config.Limit{{slow, fast}, {fast, slow}} {
		l.Take(context.Background(), charges(order...))
		if d := l.Take(context.Background(), charges(order...)); d.Allowed || d.Limit != "slow" {
			t.Errorf("got %+v, want denied by slow", d)
		}
	}
	for fastAt, never := range [][]Charge{charges(fast, slow), charges(slow, fast)} {
		never[fastAt].Cost = 2
		if d := l.Take(context.Background(), never); d.Limit != "fast" || d.RetryAfter != Never {
			t.Errorf("got %+v, want denied for ever by fast", d)
		}
	}
}

func TestTakeAddsUpChargesOnOneBucket(t *testing.T) {
	l := open(t, Settings{}, nil)
	limit := perUser("l", 3, "")
	twice := charges(limit, limit)
	if d := l.Take(context.Background(), twice); !d.Allowed || d.Remaining != 1 {
		t.Errorf("got %+v, want 2 of 3 taken", d)
	}
	if d := l.Take(context.Background(), twice); d.Allowed || d.Remaining != 1 {
		t.Errorf("got %+v, want denied: 2 of 1", d)
	}
	twice[0].Cost, twice[1].Cost = 1<<62, 1<<62
	if d := l.Take(context.Background(), twice); d.Allowed || d.RetryAfter != Never {
		t.Errorf("got %+v, want denied for ever", d)
	}
}

// What config.Load should have refused is denied, and never passes uncounted.
func TestTakeRefusesWhatItCannotCount(t *testing.T) {
	l := open(t, Settings{}, nil)
	for name, limit := range map[string]*config.Limit{
		"no limit":     nil,
		"no algorithm": {Name: "l"},
		"no capacity":  {Name: "l", TokenBucket: &config.TokenBucket{}},
	} {
		d := l.Take(context.Background(), charges(perUser("good", 9, ""), limit))
		if d.Allowed || !d.Unavailable {
			t.Errorf("%s: got %+v, want unavailable", name, d)
		}
	}
	if d := l.Take(context.Background(), charges(perUser("good", 9, ""))); d.Remaining != 8 {
		t.Errorf("%d left, want 8: the others were not charged", d.Remaining)
	}
}

// unreachable is a Redis that is not there.
func unreachable(t testing.TB) Settings {
	return Settings{RedisURL: "unix://" + filepath.Join(t.TempDir(), "none"), RedisTimeout: time.Second}
}

func TestTakeWithoutItsStore(t *testing.T) {
	local, local2 := perUser("local", 2, ""), perUser("local2", 1, config.FailLocal)
	allow, deny := perUser("allow", 1, config.FailAllow), perUser("deny", 1, config.FailDeny)
	l := open(t, unreachable(t), nil)
	for i, c := range []struct {
		limits []*config.Limit
		want   Decision // but for the times
	}{
		{charge1(allow), Decision{Allowed: true}},
		{charge1(allow), Decision{Allowed: true}}, // above its capacity of 1
		{charge1(deny), Decision{Unavailable: true}},
		{[]*config.Limit{local, deny}, Decision{Unavailable: true}},
		{[]*config.Limit{local, allow}, Decision{Allowed: true, Limit: "local", Capacity: 2, Remaining: 1}}, // deny took none
		{charge1(local2), Decision{Allowed: true, Limit: "local2", Capacity: 1}},
		{[]*config.Limit{local, local2, allow}, Decision{Limit: "local2", Capacity: 1}}, // denied, and local keeps its one
		{charge1(local), Decision{Allowed: true, Limit: "local", Capacity: 2}},
		{charge1(local), Decision{Limit: "local", Capacity: 2}},
	} {
		got := l.Take(context.Background(), charges(c.limits...))
		got.RetryAfter, got.ResetAfter = 0, 0
		c.want.StoreDown = true
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("take %d: got %+v, want %+v", i, got, c.want)
		}
	}
}

func charge1(l *config.Limit) []*config.Limit { return []*config.Limit{l} }

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	l := open(t, unreachable(t), reg)
	ctx := context.Background()
	local := perUser("local", 1, "")
	l.Take(ctx, charges(local, perUser("allow", 1, config.FailAllow)))
	l.Take(ctx, charges(local, perUser("allow", 1, config.FailAllow)))
	l.Take(ctx, charges(local, perUser("deny", 1, config.FailDeny)))
	want := `
# HELP gatewright_ratelimit_decisions_total Decisions by limit. A request that one limit denies counts for that limit alone.
# TYPE gatewright_ratelimit_decisions_total counter
gatewright_ratelimit_decisions_total{limit="allow",result="store_allowed"} 1
gatewright_ratelimit_decisions_total{limit="deny",result="store_denied"} 1
gatewright_ratelimit_decisions_total{limit="local",result="allowed"} 1
gatewright_ratelimit_decisions_total{limit="local",result="denied"} 1
# HELP gatewright_ratelimit_memory_buckets Buckets kept in this process.
# TYPE gatewright_ratelimit_memory_buckets gauge
gatewright_ratelimit_memory_buckets 1
# HELP gatewright_ratelimit_store_up 1 while all known servers of Redis decide, 0 while limits go on by their onStoreFailure.
# TYPE gatewright_ratelimit_store_up gauge
gatewright_ratelimit_store_up 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"gatewright_ratelimit_decisions_total", "gatewright_ratelimit_memory_buckets", "gatewright_ratelimit_store_up"); err != nil {
		t.Error(err)
	}
	if _, err := Open(Settings{}, quiet, reg); err == nil {
		t.Error("no error from a registry that has the metrics already")
	}
}

func TestOpenRefusesBadSettings(t *testing.T) {
	for name, s := range map[string]Settings{
		"a malformed URL":    {RedisURL: "localhost:6379"},
		"several sentinels":  {RedisURL: "redis+sentinel://a:1"},
		"a negative timeout": {RedisURL: "redis://localhost", RedisTimeout: -1},
	} {
		if l, err := Open(s, quiet, nil); err == nil {
			t.Errorf("%s: no error", name)
			_ = l.Close()
		}
	}
}

func TestSettingsFromTheEnvironment(t *testing.T) {
	t.Setenv("GATEWRIGHT_REDIS_URL", "redis://localhost")
	var s Settings
	if err := envconfig.Process("gatewright", &s); err != nil {
		t.Fatal(err)
	}
	if want := (Settings{RedisURL: "redis://localhost", RedisTimeout: 20 * time.Millisecond}); s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

func TestTakeAfterClose(t *testing.T) {
	server := testenv.StartRedis(t)
	l, err := Open(Settings{RedisURL: server.URL(), RedisTimeout: 10 * time.Second}, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if d := l.Take(context.Background(), charges(perUser("l", 1, ""))); !d.Allowed || !d.StoreDown {
		t.Errorf("got %+v, want decided without the store", d)
	}
	if l.shared.up() {
		t.Error("up after close")
	}
}
