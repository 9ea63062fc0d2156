package ratelimit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// flights is a limit of requests in flight by user.
func flights(n int64, lease time.Duration) *config.Limit {
	return &config.Limit{
		Name: "flights", Key: []config.KeyPart{config.KeyUser},
		Concurrency: &config.Concurrency{Max: n, Lease: config.Duration(lease)},
	}
}

// A request in flight counts until it is released; the others' handles, one that
// has been released, and text that is none release nothing more.
func TestReleaseFreesTheVeryRequest(t *testing.T) {
	onEachLimiter(t, func(t *testing.T, l *Limiter) {
		ctx, limit := context.Background(), flights(2, time.Hour)
		first, second := l.Take(ctx, charges(limit)), l.Take(ctx, charges(limit))
		if !first.Allowed || !second.Allowed || len(first.Handles) != 1 || first.Handles[0] == second.Handles[0] {
			t.Fatalf("got %+v and %+v, want two with handles of their own", first, second)
		}
		if d := l.Take(ctx, charges(limit)); d.Allowed || d.Handles != nil || d.RetryAfter > time.Second || d.RetryAfter <= 0 || d.Capacity != 2 {
			t.Fatalf("got %+v, want denied by 2, for a second at most", d)
		}
		l.Release([]string{first.Handles[0], "junk", "s.1.2.3", "m.x.1.1.1.k", "x" + first.Handles[0][1:]})
		waitFor(t, "room", func() bool { return l.Take(ctx, charges(limit)).Allowed })
		l.Release(first.Handles) // again
		// Ends are told in the order in which they came: when one that came after them
		// has been told, so have they.
		bob := []Charge{{Limit: limit, Key: []string{"bob"}}}
		l.Release(l.Take(ctx, bob).Handles)
		waitFor(t, "bob's room", func() bool { return look(l, bob).Remaining == 2 })
		if d := look(l, charges(limit)); d.Remaining != 0 {
			t.Errorf("%d left, want 0: one was released twice", d.Remaining)
		}
	})
}

// look takes nothing.
func look(l *Limiter, of []Charge) Decision {
	of = slices.Clone(of)
	for i := range of {
		of[i].Cost = NoCost
	}
	return l.Take(context.Background(), of)
}

// A request whose end nobody tells of is forgotten with its lease.
func TestLeaseEndsWhatIsNotReleased(t *testing.T) {
	onEachLimiter(t, func(t *testing.T, l *Limiter) {
		limit := flights(1, time.Second)
		begin := time.Now()
		l.Take(context.Background(), charges(limit))
		waitFor(t, "the lease to end", func() bool { return l.Take(context.Background(), charges(limit)).Allowed })
		if took := time.Since(begin); took < time.Second {
			t.Errorf("forgotten after %v, before the lease of a second", took)
		}
	})
}

// A request that was counted here, while Redis was down, is released here.
func TestReleaseWithoutTheStore(t *testing.T) {
	l := open(t, unreachable(t), nil)
	limit := flights(1, time.Hour)
	d := l.Take(context.Background(), charges(limit))
	if !d.Allowed || !d.StoreDown || len(d.Handles) != 1 || !strings.HasPrefix(d.Handles[0], "m.") {
		t.Fatalf("got %+v, want one that this process counts", d)
	}
	l.Release(d.Handles)
	if d := l.Take(context.Background(), charges(limit)); !d.Allowed {
		t.Errorf("got %+v, want room again", d)
	}
}

// Another instance may hear of the end.
func TestAnotherInstanceReleases(t *testing.T) {
	s := Settings{RedisURL: testenv.StartRedis(t).URL(), RedisTimeout: 10 * time.Second}
	one, other := open(t, s, nil), open(t, s, nil)
	limit := flights(1, time.Hour)
	d := one.Take(context.Background(), charges(limit))
	other.Release(d.Handles)
	waitFor(t, "room", func() bool { return one.Take(context.Background(), charges(limit)).Allowed })
}

// What Redis could not be told because it was gone, it is told when it is back.
func TestReleaseIsToldAgain(t *testing.T) {
	server := testenv.StartDurableRedis(t)
	l := open(t, Settings{RedisURL: server.URL(), RedisTimeout: 10 * time.Second}, nil)
	limit := flights(1, time.Hour)
	d := l.Take(context.Background(), charges(limit))
	short := []Charge{{Limit: flights(1, time.Second), Key: []string{"bob"}}}
	ended := l.Take(context.Background(), short)
	server.Kill()
	if d := look(l, charges(limit)); !d.StoreDown {
		t.Fatalf("%+v, want decided without Redis", d)
	}
	l.Release(append(d.Handles, ended.Handles...))
	waitFor(t, "the lease of a second to be given up", func() bool { return testutil.ToFloat64(l.metrics.unreleased) == 1 })
	server.Start()
	waitFor(t, "Redis to decide", func() bool { return !look(l, charges(limit)).StoreDown })
	waitFor(t, "room", func() bool { return look(l, charges(limit)).Remaining == 1 })
	if n := testutil.ToFloat64(l.metrics.unreleased); n != 1 {
		t.Errorf("%v ends could not be told, want the one whose lease was over", n)
	}
}

// Releases of a store that is down neither block nor fail: they are counted.
func TestReleaseNeverBlocks(t *testing.T) {
	server := testenv.StartRedis(t)
	l := open(t, Settings{RedisURL: server.URL(), RedisTimeout: time.Second}, nil)
	limit := flights(1, time.Hour)
	d := l.Take(context.Background(), charges(limit))
	server.Kill()
	for range 3 * releaseQueue {
		l.Release(d.Handles)
	}
	waitFor(t, "what could not be told", func() bool { return testutil.ToFloat64(l.metrics.unreleased) > 0 })
}

// A flood of keys that are hardly used spares limits that are used up, of whatever
// kind; and what remembers more takes more of the room.
func TestMemoryFloodSparesWhatIsUsedUp(t *testing.T) {
	const most = shardCount * 256
	m, clock := memoryAt(most)
	clock.Store(1_700_000_000_000_000)
	for name, plan := range map[string]config.LimitPlan{
		"w": {SlidingWindow: &config.SlidingWindow{Limit: 20, Window: config.Duration(time.Hour)}},
		"l": {SlidingLog: &config.SlidingWindow{Limit: 20, Window: config.Duration(time.Hour)}},
		"f": {FixedWindow: &config.SlidingWindow{Limit: 20, Window: config.Duration(24 * time.Hour)}},
		"q": {Quota: &config.Quota{Limit: 20, Per: config.PerMonth}},
		"n": {Concurrency: &config.Concurrency{Max: 20, Lease: config.Duration(time.Hour)}},
	} {
		victim := define(t, plan)
		for i := range 50 {
			allowed(t, m, []item{{fmt.Sprint(name, i), of(victim, 20)}})
		}
		for i := range 40_000 {
			allowed(t, m, []item{{fmt.Sprint("flood", name, i), of(victim, 1)}})
		}
		for i := range 50 {
			if allowed(t, m, []item{{fmt.Sprint(name, i), of(victim, 1)}}) {
				t.Errorf("%s: victim %d was forgotten", name, i)
			}
		}
	}
	if n := m.size(); n > most {
		t.Errorf("%d keys kept, want at most %d", n, most)
	}
	log := define(t, config.LimitPlan{SlidingLog: &config.SlidingWindow{Limit: maxLog, Window: config.Duration(time.Hour)}})
	for i := range 1000 {
		allowed(t, m, []item{{fmt.Sprint("long", i), of(log, 3000)}})
	}
	entries := 0
	for i := range m.shards {
		for _, k := range m.shards[i].buckets {
			entries += len(k.state.Entries)
		}
	}
	if entries > 12*(most+shardCount*250) {
		t.Errorf("%d entries kept, want about 12 for each of the %d places", entries, most)
	}
}

// The clock of a process is the time of day, and follows it when it is set.
func TestClockIsTheTimeOfDay(t *testing.T) {
	start := time.Now()
	now := start
	c := newClock(func() time.Time { return now })
	for _, step := range []struct{ monotonic, day, want time.Duration }{
		{time.Second, time.Second, time.Second},
		{2 * time.Second, 2*time.Second + 900*time.Millisecond, 2 * time.Second}, // corrected a little: it is steady
		{3 * time.Second, time.Hour, time.Hour},
		{4 * time.Second, time.Hour + time.Second, time.Hour + time.Second},
		{5 * time.Second, -time.Hour, -time.Hour},
	} {
		now = start.Add(step.monotonic)
		c.day = func(time.Time) time.Time { return start.Round(0).Add(step.day) }
		if got := c.micros() - start.UnixMicro(); got < step.want.Microseconds()-1 || got > step.want.Microseconds()+1 {
			t.Errorf("%v on, the day at %v: %d µs, want %v", step.monotonic, step.day, got, step.want)
		}
	}
}
