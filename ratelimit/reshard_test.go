package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// Slots move from master to master under load, slowly, so that their keys are in two
// places for a while and some of a request's are not where others are. Each request is
// decided by Redis; each user has its capacity, and each of his routes has given what
// was admitted, neither a token more nor, since what is denied is given back, one less.
// What instances hold ahead is within the capacity, too.
func TestClusterReshardUnderLoad(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartRedisCluster(t, 10*time.Second)
	const users, capacity, routes, routeCapacity = 9, 90, 5, 20
	perUserLimit, perRoute := perUser("per-user", capacity, config.FailLocal), perUser("per-route", routeCapacity, config.FailLocal)
	perRoute.Key = []config.KeyPart{config.KeyUser, config.KeyRoute}
	leased := perUser("leased", capacity, config.FailLocal)
	leased.Consistency = config.Lease
	var fleet []*Limiter
	for range 2 {
		fleet = append(fleet, open(t, Settings{RedisURL: cluster.URL(), RedisTimeout: 10 * time.Second}, nil))
	}
	user := func(i int) string { return fmt.Sprint("u", i) }
	key := func(user string, route int) []string { return []string{user, fmt.Sprint("r", route)} }
	var admitted [users][routes]atomic.Int64
	var ahead [users]atomic.Int64
	var sent, down atomic.Int64
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	for i := range 8 {
		traffic.Go(func() {
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				u, r := n%users, n/users%routes
				d := fleet[n%2].Take(context.Background(), []Charge{
					{Limit: perUserLimit, Key: []string{user(u)}},
					{Limit: perRoute, Key: key(user(u), r)},
				})
				of := fleet[n%2].Take(context.Background(), []Charge{{Limit: leased, Key: []string{user(u)}}})
				sent.Add(1)
				if d.StoreDown || of.StoreDown {
					down.Add(1)
				}
				if of.Allowed {
					ahead[u].Add(1)
				}
				if d.Allowed {
					admitted[u][r].Add(1)
				}
			}
		})
	}
	more := func(n int64) {
		from := sent.Load()
		waitFor(t, "traffic", func() bool { return sent.Load() >= from+n })
	}
	for round := range 2 {
		for u := range users {
			home := redisPrefix + bucketKey(perUserLimit, []string{user(u)}, config.Allowance{})
			to := cluster.Nodes[(u+round)%3]
			if to == cluster.Master(home) {
				to = cluster.Nodes[(u+round+1)%3]
			}
			move := cluster.BeginMove(home, to)
			more(20)
			move.Keys(2)
			more(50)
			move.End()
			more(20)
		}
	}
	of := func(u int) (sum int64) {
		for r := range routes {
			sum += admitted[u][r].Load()
		}
		return sum
	}
	for u := range users {
		waitFor(t, "all to be used up", func() bool { return of(u) >= capacity })
	}
	close(stop)
	traffic.Wait()
	t.Logf("%d requests; MOVED %d, ASK %d, TRYAGAIN %d times", sent.Load(), cluster.Answered("MOVED"), cluster.Answered("ASK"), cluster.Answered("TRYAGAIN"))
	if n := down.Load(); n > 0 {
		t.Errorf("%d of %d requests were decided without Redis", n, sent.Load())
	}
	for u := range users {
		if n := of(u); n != capacity {
			t.Errorf("%s: %d admitted, want exactly %d", user(u), n, capacity)
		}
		if n := ahead[u].Load(); n > capacity || n < capacity*3/4 {
			t.Errorf("%s: %d admitted by leases, want %d or a few less", user(u), n, capacity)
		}
		for r := range routes {
			d := fleet[0].Take(context.Background(), []Charge{{Limit: perRoute, Key: key(user(u), r), Cost: NoCost}})
			if n := admitted[u][r].Load(); d.Remaining != routeCapacity-n {
				t.Errorf("%s, route %d: %d left, want %d after %d", user(u), r, d.Remaining, routeCapacity-n, n)
			}
		}
	}
	for _, name := range []string{"MOVED", "ASK", "TRYAGAIN"} {
		if cluster.Answered(name) == 0 {
			t.Errorf("no command was answered with %s: the test proves nothing of it", name)
		}
	}
}

// A request whose keys are in one slot, and in that moment at two servers and at none:
// it is charged by all limits, of whatever kind, or by none. So is a lease.
func TestKeysOfASlotThatMoves(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartRedisCluster(t, time.Minute)
	l := open(t, Settings{RedisURL: cluster.URL(), RedisTimeout: 10 * time.Second}, nil)
	const tag, hour = "{moving}:", config.Duration(time.Hour)
	tight := item{tag + "tight", of(bucketOf(t, 2, 1, day), 1)}
	items := []item{tight}
	for name, plan := range map[string]config.LimitPlan{
		"w": {SlidingWindow: &config.SlidingWindow{Limit: 5, Window: hour}},
		"l": {SlidingLog: &config.SlidingWindow{Limit: 5, Window: hour}},
		"f": {FixedWindow: &config.SlidingWindow{Limit: 5, Window: config.Duration(day)}},
		"q": {Quota: &config.Quota{Limit: 5, Per: config.PerMonth}},
		"n": {Concurrency: &config.Concurrency{Max: 5, Lease: hour}},
	} {
		items = append(items, item{tag + name, of(define(t, plan), 1)})
	}
	id := int64(1)
	take := func(what string, allowed bool, left int64) {
		t.Helper()
		for i := range items {
			items[i].ID = id
		}
		id++
		for i, r := range l.shared.take(context.Background(), items).results {
			want := left
			if i == 0 {
				want -= 3
			}
			if r.Allowed != (allowed || i > 0) || r.Remaining != max(want, 0) {
				t.Errorf("%s, %s: %+v, want %d left", what, items[i].key, r, want)
			}
		}
	}
	from := cluster.Master(redisPrefix + tag)
	to := cluster.Nodes[0]
	if to == from {
		to = cluster.Nodes[1]
	}
	move := cluster.BeginMove(redisPrefix+tag, to)
	take("no key anywhere", true, 4)
	move.End()
	back := cluster.BeginMove(redisPrefix+tag, from)
	back.Keys(3)
	take("keys at both", true, 3)
	take("keys at both", false, 3)
	leased, err := l.shared.lease(context.Background(), "me", []renewal{
		{key: tag + "here", bucket: bucketOf(t, 8, 1, day), number: 1, want: 2}, {key: tag + "there", bucket: bucketOf(t, 8, 1, day), number: 1, want: 3},
	})
	if err != nil || leased[0].amount != 2 || leased[1].amount != 3 {
		t.Errorf("leased %+v, %v", leased, err)
	}
	back.End()
	take("moved", false, 3)
}
