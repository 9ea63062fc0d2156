package ratelimit

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// bucketIn is the value of the only key in Redis but that of the probe.
func bucketIn(t *testing.T, server *testenv.Redis) string {
	t.Helper()
	for _, key := range server.Do("KEYS", "*").([]any) {
		if name := key.(string); !strings.Contains(name, "ping") && !strings.HasPrefix(name, liveKey) {
			return server.Do("GET", key).(string)
		}
	}
	return ""
}

// leased is a limiter on a Redis that holds tokens of a bucket of 100, and how many
// were spent.
func leased(t *testing.T, consistency config.Consistency) (*testenv.Redis, *Limiter, *config.Limit, int64) {
	server := testenv.StartRedis(t)
	l := open(t, Settings{RedisURL: server.URL(), RedisTimeout: 10 * time.Second}, prometheus.NewRegistry())
	limit := perUser("l", 100, config.FailDeny)
	limit.Consistency = consistency
	spent := int64(0)
	waitFor(t, "a lease", func() bool {
		if l.Take(context.Background(), charges(limit)).Allowed {
			spent++
		}
		return consistency == config.Sync || strings.Contains(bucketIn(t, server), ";")
	})
	return server, l, limit, spent
}

// What nobody uses goes back: the bucket has all but what was spent.
func TestLeasesAreGivenBackWhenIdle(t *testing.T) {
	server, _, _, spent := leased(t, config.Lease)
	begin := time.Now()
	waitFor(t, "the tokens to be given back", func() bool { return !strings.Contains(bucketIn(t, server), ";") })
	t.Logf("after %v", time.Since(begin))
	checkSpent(t, server, spent)
}

// A process that ends gives back what it has.
func TestLeasesAreGivenBackAtTheEnd(t *testing.T) {
	server, l, _, spent := leased(t, config.Lease)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkSpent(t, server, spent)
}

// A process that ends tells what was spent of its views.
func TestSyncIsToldAtTheEnd(t *testing.T) {
	server, l, limit, spent := leased(t, config.Sync)
	for range 9 {
		l.Take(context.Background(), charges(limit))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkSpent(t, server, spent+9)
}

// checkSpent fails unless the bucket of 100 a day lacks exactly what was spent.
func checkSpent(t *testing.T, server *testenv.Redis, spent int64) {
	t.Helper()
	exact := open(t, Settings{RedisURL: server.URL(), RedisTimeout: 10 * time.Second}, nil)
	look := charges(perUser("l", 100, config.FailDeny))
	look[0].Cost = NoCost
	if d := exact.Take(context.Background(), look); d.Remaining != 100-spent {
		t.Errorf("%d left of 100, want %d: %d were spent (%s)", d.Remaining, 100-spent, spent, bucketIn(t, server))
	}
}

// A request of leased, exchanged and exact limits is one decision: what the others
// deny is given back.
func TestNearAndExactAreOneDecision(t *testing.T) {
	onEachLeasingStore(t, func(t *testing.T, s leasingUnderTest) {
		var clock atomic.Int64
		s.clock.Store(1_700_000_000_000_000)
		ctx := context.Background()
		l := nearOn(t, s, s, clock.Load)
		lease, sync, exact := perUser("lease", 40, ""), perUser("sync", 50, ""), perUser("exact", 6, "")
		lease.Consistency, sync.Consistency = config.Lease, config.Sync
		for range 4 {
			if d := l.Take(ctx, charges(lease, sync, exact)); !d.Allowed {
				t.Fatalf("got %+v, want allowed", d)
			}
			l.near.leases.flush(ctx)
			l.near.views.flush(ctx)
		}
		if l.near.leases.held("lease") == 0 {
			t.Fatal("no lease")
		}
		for n, want := range []bool{true, true, false, false, false} {
			if d := l.Take(ctx, charges(lease, sync, exact)); d.Allowed != want || d.Limit != "exact" {
				t.Errorf("request %d: got %+v, want allowed %t, by exact", n, d, want)
			}
		}
		for limit, left := range map[*config.Limit]int64{lease: 40 - 6, sync: 50 - 6} {
			admitted := int64(0)
			for l.Take(ctx, charges(limit)).Allowed {
				admitted++
			}
			if admitted != left {
				t.Errorf("%s: %d admitted after that, want %d: what exact denied was charged to nobody", limit.Name, admitted, left)
			}
		}
		if d := l.Take(ctx, charges(lease, exact)); d.Allowed || d.Limit == "" {
			t.Errorf("got %+v, want denied here, by lease or exact", d)
		}
	})
}

// held is how many tokens are here of the buckets of a limit.
func (ls *leases) held(limit string) (n int64) {
	for i := range ls.shares.shards {
		for key, s := range ls.shares.shards[i].of {
			if strings.Contains(key, limit) {
				n += s.tokens
			}
		}
	}
	return n
}

// A renewal that comes after a later one gives back nothing: its tokens are leased
// anew, and may be spent.
func TestLateRenewalsChangeNothing(t *testing.T) {
	onEachLeasingStore(t, func(t *testing.T, s leasingUnderTest) {
		s.clock.Store(1_700_000_000_000_000)
		b := bucketOf(t, 20, 1, day)
		for i, step := range []struct {
			number           uint64
			held, back, want int64
			amount, left     int64
		}{
			{1, 0, 0, 5, 5, 15},
			{3, 0, 0, 5, 5, 10}, // the second, that gave 5 back, is late
			{2, 0, 5, 0, -1, 10},
			{4, 2, 3, 0, 2, 13},
			{4, 0, 2, 0, -1, 13},
			{5, 9, 9, 0, 2, 13}, // never more than it has
			{6, 0, 9, 0, 0, 15},
			{7, 0, 9, 0, 0, 15}, // nor what it has not
			{8, 0, 0, 90, 7, 8}, // at most half
		} {
			got, err := s.lease(context.Background(), "i", []renewal{{key: "k", bucket: b, number: step.number, held: step.held, back: step.back, want: step.want}})
			if want := (renewed{step.amount, step.left}); err != nil || got[0] != want {
				t.Errorf("step %d: got %+v, %v; want %+v", i, got, err, want)
			}
		}
	})
}

// What was out when a lease ended refilled nothing until then: it may have been
// spent the moment before.
func TestEndedLeasesGiveNothing(t *testing.T) {
	onEachLeasingStore(t, func(t *testing.T, s leasingUnderTest) {
		s.clock.Store(1_700_000_000_000_000)
		ctx := context.Background()
		b := bucketOf(t, 20, 10, time.Second)
		if _, err := s.lease(ctx, "i", []renewal{{key: "k", bucket: b, number: 1, want: 10}}); err != nil {
			t.Fatal(err)
		}
		for at, want := range map[time.Duration]int64{leaseTTL - 1000: 10, leaseTTL: 10, leaseTTL + 300*time.Millisecond: 13} {
			s.clock.Store(1_700_000_000_000_000 + at.Microseconds())
			got, err := s.run(ctx, []call{{op: opTake, items: []item{{"k", Demand{Definition: b}}}}})
			if err != nil || got[0][0].Remaining != want {
				t.Errorf("at %v: %+v, %v; want %d left", at, got, err, want)
			}
		}
	})
}

// While Redis is down, what is held is spent until its lease ends; then, and with
// sync at once, each limit does what it does then.
func TestNearWithoutItsStore(t *testing.T) {
	server, l, limit, _ := leased(t, config.Lease)
	sync := perUser("sync", 100, config.FailDeny)
	sync.Consistency = config.Sync
	ctx := context.Background()
	l.Take(ctx, charges(sync))
	held := func() int64 {
		home := l.near.leases.shares.home(bucketKey(limit, []string{"alice"}, config.Allowance{}))
		home.mu.Lock()
		defer home.mu.Unlock()
		for _, s := range home.of {
			return s.spendable(l.near.leases.now())
		}
		return 0
	}
	waitFor(t, "tokens that are held", func() bool {
		if held() > 0 {
			return true
		}
		l.Take(ctx, charges(limit))
		return false
	})
	server.Kill()
	waitFor(t, "Redis to be missed", func() bool { return !l.shared.up() || l.Take(ctx, charges(perUser("other", 9, ""))).StoreDown })
	if d := l.Take(ctx, charges(sync)); !d.Unavailable {
		t.Errorf("sync: got %+v, want unavailable", d)
	}
	waitFor(t, "the lease to be spent or to end", func() bool { return l.Take(ctx, charges(limit)).Unavailable })
	if n := held(); n > 0 {
		t.Errorf("%d tokens are left, and none was spent", n)
	}
}

// A flood of keys takes no more room than there is, and what has none is exact.
func TestNearHasItsBounds(t *testing.T) {
	var clock atomic.Int64
	m := newLeaseModel(func() int64 { return 1_700_000_000_000_000 })
	l := nearOn(t, m, m, clock.Load)
	l.near.leases.shares, l.near.views.views = newTable[share](shardCount), newTable[view](shardCount)
	lease, sync := perUser("lease", 3, ""), perUser("sync", 3, "")
	lease.Consistency, sync.Consistency = config.Lease, config.Sync
	for i := range 20 * shardCount {
		key := []string{fmt.Sprint(i)}
		for n, want := range []bool{true, true, true, false} {
			d := l.Take(context.Background(), []Charge{{Limit: lease, Key: key}, {Limit: sync, Key: key}})
			if d.Allowed != want {
				t.Fatalf("request %d of %d: %+v, want allowed %t", n, i, d, want)
			}
		}
	}
	if n, m := l.near.leases.shares.size(), l.near.views.views.size(); n > shardCount || m > shardCount {
		t.Errorf("%d shares and %d views, want at most %d", n, m, shardCount)
	}
	clock.Add(day.Microseconds())
	l.near.leases.flush(context.Background())
	l.near.views.flush(context.Background())
	l.near.leases.sweep(shardCount)
	l.near.views.sweep(shardCount)
	if n, m := l.near.leases.shares.size(), l.near.views.views.size(); n > 0 || m > 0 {
		t.Errorf("%d shares and %d views after a day, want none", n, m)
	}
}

func BenchmarkNear(b *testing.B) {
	for _, consistency := range []config.Consistency{config.Lease, config.Sync} {
		b.Run(string(consistency), func(b *testing.B) {
			l := open(b, Settings{RedisURL: testenv.StartRedis(b).URL(), RedisTimeout: time.Second}, nil)
			limit := perUser("l", 1_000_000, "")
			limit.TokenBucket.Refill = config.Rate{Events: 100_000_000, Per: time.Second}
			limit.Consistency = consistency
			all := charges(limit)
			b.ReportAllocs()
			for b.Loop() {
				l.Take(context.Background(), all)
			}
		})
	}
}
