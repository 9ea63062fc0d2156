package ratelimit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// pressure is many clients of one limiter.
type pressure struct {
	decided, undecided, without atomic.Int64
	longest                     atomic.Int64
	stop                        chan struct{}
	clients                     sync.WaitGroup
}

func press(l *Limiter, clients int, limit *config.Limit) *pressure {
	o := &pressure{stop: make(chan struct{})}
	for i := range clients {
		o.clients.Go(func() {
			key := []string{fmt.Sprint(i)}
			for {
				select {
				case <-o.stop:
					return
				default:
				}
				begin := time.Now()
				d := l.Take(context.Background(), []Charge{{Limit: limit, Key: key}})
				o.note(d, time.Since(begin))
			}
		})
	}
	return o
}

func (o *pressure) note(d Decision, took time.Duration) {
	o.decided.Add(1)
	if d.Limit == "" || d.Unavailable {
		o.undecided.Add(1)
	}
	if d.StoreDown {
		o.without.Add(1)
		time.Sleep(time.Millisecond) // without Redis they would spin
	}
	for longest := o.longest.Load(); int64(took) > longest && !o.longest.CompareAndSwap(longest, int64(took)); {
		longest = o.longest.Load()
	}
}

// more waits for as many requests.
func (o *pressure) more(t *testing.T, n int64) {
	from := o.decided.Load()
	waitFor(t, "traffic", func() bool { return o.decided.Load() >= from+n })
}

func (o *pressure) end() {
	close(o.stop)
	o.clients.Wait()
}

// Whatever stops Redis under load, each request is decided, in the timeout: in the
// queue and with Redis together, and not first in the one and then with the other.
func TestRequestsWaitNoLongerThanTheTimeout(t *testing.T) {
	const clients, timeout = 200, 4 * time.Second
	for name, fault := range map[string]struct {
		begin, end func(*testing.T, *testenv.Redis, *testenv.Slow)
	}{
		"stopped": {
			func(_ *testing.T, s *testenv.Redis, _ *testenv.Slow) { s.Signal(syscall.SIGSTOP) },
			func(_ *testing.T, s *testenv.Redis, _ *testenv.Slow) { s.Signal(syscall.SIGCONT) },
		},
		"slow": {
			func(_ *testing.T, _ *testenv.Redis, p *testenv.Slow) { p.Delay(time.Hour) },
			nil, // what is under way is held back for ever
		},
		"out of memory": {
			func(_ *testing.T, s *testenv.Redis, _ *testenv.Slow) { s.Do("CONFIG", "SET", "maxmemory", "1") },
			func(_ *testing.T, s *testenv.Redis, _ *testenv.Slow) { s.Do("CONFIG", "SET", "maxmemory", "0") },
		},
		"busy": {
			func(t *testing.T, s *testenv.Redis, _ *testenv.Slow) { beginBusy(t, s) },
			func(_ *testing.T, s *testenv.Redis, _ *testenv.Slow) { s.Do("SCRIPT", "KILL") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartRedis(t)
			proxy := testenv.StartSlow(t, server.Addr)
			l := open(t, Settings{RedisURL: "redis://" + proxy.Addr, RedisTimeout: timeout}, nil)
			o := press(l, clients, perUser("l", 1<<16, config.FailLocal))
			o.more(t, 2000)
			fault.begin(t, server, proxy)
			waitFor(t, "the guard to close", func() bool { return !l.shared.up() })
			o.more(t, 2000)
			if fault.end != nil {
				fault.end(t, server, proxy)
				waitFor(t, "Redis to decide again", l.shared.up)
				o.more(t, 2000)
			}
			o.end()
			if n := o.undecided.Load(); n > 0 {
				t.Errorf("%d of %d requests were not decided", n, o.decided.Load())
			}
			// One that waited twice would take 8 s.
			if took := time.Duration(o.longest.Load()); took > timeout*7/4 {
				t.Errorf("a request took %v, with a timeout of %v", took, timeout)
			}
			if o.without.Load() == 0 {
				t.Error("every request was decided by Redis")
			}
		})
	}
}

// A Redis that is far away decides all the same: calls carry more requests.
func TestSlowRedisDecides(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	proxy := testenv.StartSlow(t, server.Addr)
	l := open(t, Settings{RedisURL: "redis://" + proxy.Addr, RedisTimeout: 10 * time.Second}, nil)
	proxy.Delay(5 * time.Millisecond)
	calls := storeCalls(t, l)
	o := press(l, 64, perUser("l", 1<<16, config.FailLocal))
	o.more(t, 2000)
	o.end()
	if o.without.Load() > 0 || o.undecided.Load() > 0 {
		t.Errorf("%d decided without Redis, %d not at all", o.without.Load(), o.undecided.Load())
	}
	if calls = storeCalls(t, l) - calls; int64(calls)*8 > o.decided.Load() {
		t.Errorf("%d calls for %d requests, want them to share", calls, o.decided.Load())
	}
}

// The master that sentinels know fails over under load: every request is decided,
// and Redis decides again.
func TestSentinelFailoverUnderLoad(t *testing.T) {
	t.Parallel()
	sentinels := testenv.StartRedisSentinels(t, time.Second)
	l := open(t, Settings{RedisURL: sentinels.URL(), RedisTimeout: 200 * time.Millisecond}, nil)
	waitFor(t, "Redis to decide", l.shared.up)
	o := press(l, 8, perUser("l", 1<<16, config.FailLocal))
	o.more(t, 500)
	sentinels.Master.Kill()
	waitFor(t, "the guard to close", func() bool { return !l.shared.up() })
	waitFor(t, "the replica to decide", l.shared.up)
	o.more(t, 500)
	o.end()
	if n := o.undecided.Load(); n > 0 {
		t.Errorf("%d of %d requests were not decided", n, o.decided.Load())
	}
	if n, err := sentinels.Replica.Client.DBSize(context.Background()).Result(); err != nil || n == 0 {
		t.Errorf("the old replica has %d keys, %v: it does not decide", n, err)
	}
}

// leastRights are those of docs/redis.md.
func leastRights(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "redis.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rights, found := strings.Cut(string(page), "ACL SETUSER gatewright on >PASSWORD ")
	if !found {
		t.Fatal("docs/redis.md says no rights")
	}
	rights, _, _ = strings.Cut(rights, "\n")
	return strings.Fields(rights)
}

// Nor in a cluster, but for what is said of it.
func TestLeastRightsInACluster(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartRedisCluster(t, 5*time.Second)
	set := []any{"ACL", "SETUSER", "gatewright", "on", ">hunter2", "+cluster|slots", "+asking"}
	for _, right := range leastRights(t) {
		if right == "-@all" {
			continue // a new user has no rights, and these would be taken away
		}
		set = append(set, right)
	}
	for _, node := range cluster.Nodes {
		node.Do(set...)
	}
	url := strings.Replace(cluster.URL(), "redis://", "redis://gatewright:hunter2@", 1)
	l := open(t, Settings{RedisURL: url, RedisTimeout: 5 * time.Second}, nil)
	limit := perUser("l", 10, config.FailDeny)
	for i := range 20 {
		if d := l.Take(context.Background(), []Charge{{Limit: limit, Key: []string{fmt.Sprint(i)}}}); !d.Allowed || d.StoreDown {
			t.Fatalf("user %d: %+v, want decided by Redis", i, d)
		}
	}
}

// A user needs no more than docs/redis.md says, over TLS.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedisTLS(t, leastRights(t)...)
	settings := Settings{RedisURL: server.URL(), RedisTimeout: 5 * time.Second}
	settings.Redis.CA, settings.Redis.Cert, settings.Redis.Key = server.CA, server.Cert, server.Key
	l := open(t, settings, nil)
	window := &config.SlidingWindow{Limit: 10, Window: config.Duration(time.Hour)}
	limits := map[string]*config.Limit{
		"bucket":      perUser("bucket", 10, config.FailDeny),
		"window":      {SlidingWindow: window},
		"log":         {SlidingLog: window},
		"fixed":       {FixedWindow: window},
		"quota":       {Quota: &config.Quota{Limit: 10, Per: config.PerDay}},
		"concurrency": {Concurrency: &config.Concurrency{Max: 10}},
		"lease":       perUser("lease", 10, config.FailDeny),
	}
	limits["lease"].Consistency = config.Lease
	for name, limit := range limits {
		limit.Name, limit.Key, limit.OnStoreFailure = name, []config.KeyPart{config.KeyUser}, config.FailDeny
		for want := int64(9); want >= 7; want-- {
			d := l.Take(context.Background(), charges(limit))
			// A share, once there is one, knows of less than is left.
			known := d.Remaining == want || name == "lease" && d.Remaining < want
			if !d.Allowed || d.StoreDown || !known {
				t.Fatalf("%s: %+v, want decided by Redis, %d left", name, d, want)
			}
		}
	}
	waitFor(t, "the instance to be counted", func() bool { return server.Do("ZCARD", liveKey) == int64(1) })
}
