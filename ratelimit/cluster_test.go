package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// Slots are those of Redis.
func TestHashSlotIsThatOfRedis(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedisCluster(t, 5*time.Second).Nodes[0]
	key := rapid.OneOf(rapid.StringMatching(`[a-c{}]{0,12}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		k := key.Draw(t, "key")
		want, err := server.Client.ClusterKeySlot(context.Background(), k).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got := hashSlot(k); int64(got) != want {
			t.Fatalf("slot of %q is %d, want %d", k, got, want)
		}
	})
}

// byUserAndTenant is two limits of one request whose keys are in slots of their own.
func byUserAndTenant(user, tenant int64) []*config.Limit {
	perTenant := perUser("per-tenant", tenant, config.FailLocal)
	perTenant.Key = []config.KeyPart{config.KeyTenant}
	return []*config.Limit{perUser("per-user", user, config.FailLocal), perTenant}
}

// In a cluster, whatever the slots: a request is charged by all its limits or by
// none, and a fleet admits the capacity to the request.
func TestClusterChargesAllOrNone(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartRedisCluster(t, 5*time.Second)
	var fleet []*Limiter
	for range 2 {
		fleet = append(fleet, open(t, Settings{RedisURL: cluster.URL(), RedisTimeout: 10 * time.Second}, nil))
	}
	const users, perUser, perTenant = 20, 10, 100
	limits := byUserAndTenant(perUser, perTenant)
	var admitted, down atomic.Int64
	var each [users]atomic.Int64
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for n := range 200 {
				user := (n + 3*i) % users
				d := fleet[i%2].Take(context.Background(), []Charge{
					{Limit: limits[0], Key: []string{fmt.Sprint("u", user)}},
					{Limit: limits[1], Key: []string{"acme"}},
				})
				if d.StoreDown {
					down.Add(1)
				}
				if d.Allowed {
					admitted.Add(1)
					each[user].Add(1)
				}
			}
		})
	}
	clients.Wait()
	if n := down.Load(); n > 0 {
		t.Errorf("%d requests decided without Redis", n)
	}
	if n := admitted.Load(); n != perTenant {
		t.Errorf("%d admitted, want exactly %d", n, perTenant)
	}
	// What was denied by the tenant has been given back to the user, to the token.
	for i := range each {
		waitFor(t, "refunds", func() bool {
			d := fleet[0].Take(context.Background(), []Charge{{Limit: limits[0], Key: []string{fmt.Sprint("u", i)}, Cost: NoCost}})
			return d.Remaining == perUser-each[i].Load()
		})
	}
	for _, node := range cluster.Nodes[:3] {
		if n, err := node.Client.DBSize(context.Background()).Result(); err != nil || n == 0 {
			t.Errorf("%s has %d keys, %v: the load is not spread", node.Addr, n, err)
		}
	}
}

// One master that does not answer takes down its own keys alone: the others' are
// decided by Redis, and what they have charged is given back where the lost one's
// limit denies.
func TestClusterLosesOneMasterAlone(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartRedisCluster(t, time.Minute) // no failover
	l := open(t, Settings{RedisURL: cluster.URL(), RedisTimeout: time.Second}, nil)
	ctx := context.Background()
	limits := byUserAndTenant(5, 5)
	tenant := func(i int) []string { return []string{fmt.Sprint("t", i)} }
	user := []string{"alice"}
	home := cluster.Master(redisPrefix + bucketKey(limits[0], user, config.Allowance{}))
	var same, other []string
	for i := 0; same == nil || other == nil; i++ {
		if cluster.Master(redisPrefix+bucketKey(limits[1], tenant(i), config.Allowance{})) == home {
			same = tenant(i)
		} else {
			other = tenant(i)
		}
	}
	for range 3 {
		l.Take(ctx, []Charge{{Limit: limits[0], Key: user}, {Limit: limits[1], Key: other}, {Limit: limits[1], Key: same}})
	}
	home.Kill()
	if d := l.Take(ctx, []Charge{{Limit: limits[0], Key: user}}); !d.Allowed || !d.StoreDown {
		t.Errorf("its own key: %+v, want decided without it", d)
	}
	if d := l.Take(ctx, []Charge{{Limit: limits[1], Key: other}}); !d.Allowed || d.StoreDown || d.Remaining != 1 {
		t.Errorf("another's: %+v, want decided by Redis, with 1 of 5 left", d)
	}
	deny := *limits[0]
	deny.OnStoreFailure = config.FailDeny
	for range 3 {
		if d := l.Take(ctx, []Charge{{Limit: &deny, Key: user}, {Limit: limits[1], Key: other}}); d.Allowed || !d.Unavailable {
			t.Errorf("both, and the lost one denies: %+v, want unavailable", d)
		}
	}
	waitFor(t, "the other's token to be back", func() bool {
		return l.Take(ctx, []Charge{{Limit: limits[1], Key: other, Cost: NoCost}}).Remaining == 1
	})
	if d := l.Take(ctx, []Charge{{Limit: limits[0], Key: user}, {Limit: limits[1], Key: other}}); !d.Allowed || !d.StoreDown {
		t.Errorf("both: %+v, want allowed, one without Redis", d)
	}
	if d := l.Take(ctx, []Charge{{Limit: limits[0], Key: user}, {Limit: limits[1], Key: other}}); d.Allowed || d.Limit != "per-tenant" {
		t.Errorf("both, once more: %+v, want denied by the one that Redis decides", d)
	}
}

// A master is killed under load, and its replica takes over: every request is
// decided, none is refused for it, and what is admitted stays within the bound for
// lost state.
func TestClusterFailoverUnderLoad(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartRedisCluster(t, time.Second)
	const instances, capacity, rate = 3, 50, 100
	limit := perUser("l", capacity, config.FailLocal)
	limit.TokenBucket.Refill = config.Rate{Events: rate, Per: time.Second}
	limitKey := redisPrefix + bucketKey(limit, []string{"alice"}, config.Allowance{})
	var fleet []*Limiter
	for range instances {
		fleet = append(fleet, open(t, Settings{RedisURL: cluster.URL()}, nil))
	}
	var admitted, undecided, without, sent atomic.Int64
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	begin := time.Now()
	for _, l := range fleet {
		for range 2 {
			traffic.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
					d := l.Take(context.Background(), charges(limit))
					sent.Add(1)
					switch {
					case d.Limit != "l" || d.Unavailable:
						undecided.Add(1)
					case d.Allowed:
						admitted.Add(1)
					}
					if d.StoreDown {
						without.Add(1)
					}
				}
			})
		}
	}
	more := func(n int64) {
		from := sent.Load()
		waitFor(t, "traffic", func() bool { return sent.Load() >= from+n })
	}
	more(300)
	killed := cluster.Master(limitKey)
	killed.Kill()
	waitFor(t, "the replica to take over", func() bool { return cluster.Master(limitKey) != killed })
	for _, l := range fleet {
		waitFor(t, "Redis to decide again", func() bool { return !l.Take(context.Background(), charges(limit)).StoreDown })
	}
	more(300)
	close(stop)
	traffic.Wait()
	took := time.Since(begin)
	// The failover may lose the last writes: one capacity. While Redis is gone, each
	// instance has its own: as many more. And both refill.
	most := capacity*(1+1+instances) + int64(rate*(1+instances)*(took.Seconds()+1))
	t.Logf("%d of %d admitted in %v, %d decided without Redis; the bound is %d", admitted.Load(), sent.Load(), took, without.Load(), most)
	if undecided.Load() > 0 {
		t.Errorf("%d requests were not decided", undecided.Load())
	}
	if n := admitted.Load(); n > most {
		t.Errorf("%d admitted, want at most %d", n, most)
	}
	if without.Load() == 0 {
		t.Error("no request was decided without Redis: was a master killed?")
	}
}

// Calls of each kind are answered, whatever the slots of their items.
func TestSharedAnswersCalls(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func() string{
		"one server": func() string { return testenv.StartRedis(t).URL() },
		"a cluster":  func() string { return testenv.StartRedisCluster(t, 5*time.Second).URL() },
	} {
		l := open(t, Settings{RedisURL: url(), RedisTimeout: 5 * time.Second}, nil)
		items := make([]item, 10)
		for i := range items {
			items[i] = item{key: fmt.Sprintf("{%d}:l", i), Demand: of(bucketOf(t, 10, 1, day), 2)}
		}
		for step, c := range []struct {
			op        op
			allowed   bool
			remaining int64
		}{
			{opTake, true, 8}, {opForce, true, 6}, {opRefund, true, 8}, {opForce, true, 6}, {opForce, true, 4}, {opForce, true, 2}, {opTake, true, 0},
			{opTake, false, 0}, {opForce, false, 0}, {opRefund, true, 0}, {opRefund, true, 2},
		} {
			results, err := l.shared.answer(context.Background(), []call{{op: c.op, items: items}})
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results[0] {
				if r.Allowed != c.allowed || r.Remaining != c.remaining {
					t.Fatalf("%s, step %d, item %d: %+v, want allowed %t with %d left", name, step, i, r, c.allowed, c.remaining)
				}
			}
		}
	}
}
