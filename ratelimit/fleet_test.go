package ratelimit

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// fleet is several instances on one Redis, and how many requests they admitted.
type fleet struct {
	t         *testing.T
	instances []*Limiter
	admitted  atomic.Int64
}

func newFleet(t *testing.T, server *testenv.Redis, n int) *fleet {
	f := &fleet{t: t}
	for range n {
		f.instances = append(f.instances, open(t, Settings{RedisURL: server.URL(), RedisTimeout: 20 * time.Second}, prometheus.NewRegistry()))
	}
	return f
}

// run sends requests of 4 clients to each instance until done says so.
func (f *fleet) run(limit *config.Limit, done func(sent int64) bool) {
	var sent atomic.Int64
	var clients sync.WaitGroup
	for _, l := range f.instances {
		for range 4 {
			clients.Go(func() {
				for !done(sent.Add(1)) {
					d := l.Take(context.Background(), charges(limit))
					if d.StoreDown {
						f.t.Error("decided without Redis")
						return
					}
					if d.Allowed {
						f.admitted.Add(1)
					}
				}
			})
		}
	}
	clients.Wait()
}

func requests(n int64) func(int64) bool { return func(sent int64) bool { return sent > n } }

// Without refill a fleet admits the capacity, to the request.
func TestFleetAdmitsExactlyTheCapacity(t *testing.T) {
	f := newFleet(t, testenv.StartRedis(t), 2)
	f.run(perUser("l", 300, config.FailDeny), requests(2000))
	if n := f.admitted.Load(); n != 300 {
		t.Errorf("%d admitted, want exactly 300", n)
	}
}

// With refill a fleet admits no more than C + R·T.
func TestFleetAdmitsTheRate(t *testing.T) {
	f := newFleet(t, testenv.StartRedis(t), 2)
	limit := perUser("l", 50, config.FailDeny)
	limit.TokenBucket.Refill = config.Rate{Events: 200, Per: time.Second}
	begin := time.Now()
	f.run(limit, func(int64) bool { return time.Since(begin) > 500*time.Millisecond })
	took := time.Since(begin)
	most := 50 + int64(200*took.Seconds()) + 1
	if n := f.admitted.Load(); n > most {
		t.Errorf("%d admitted in %v, want at most %d", n, took, most)
	} else if n <= 50 {
		t.Errorf("%d admitted in %v, want more than the capacity: the bucket refills", n, took)
	}
}

// Each loss of Redis' memory gives one capacity, not more: C(1+F).
func TestFleetBoundWhenStateIsLost(t *testing.T) {
	const losses, capacity = 3, 100
	server := testenv.StartRedis(t)
	f := newFleet(t, server, 2)
	limit := perUser("l", capacity, config.FailDeny)
	f.run(limit, requests(1000))
	for range losses {
		server.Do("FLUSHALL")
		f.run(limit, requests(1000))
	}
	if n := f.admitted.Load(); n != capacity*(1+losses) {
		t.Errorf("%d admitted, want exactly %d", n, capacity*(1+losses))
	}
}

// live waits until each instance knows of all.
func (f *fleet) live() {
	f.t.Helper()
	for _, l := range f.instances {
		waitFor(f.t, "the instances to know of each other", func() bool { return l.live.instances() == int64(len(f.instances)) })
	}
}

// While Redis is down the instances together admit the capacity, once more and not
// more: each its portion.
func TestFleetBoundWithoutRedis(t *testing.T) {
	const instances, capacity = 3, 40
	server := testenv.StartRedis(t)
	f := newFleet(t, server, instances)
	f.live()
	limit := perUser("l", capacity, config.FailLocal)
	f.run(limit, requests(500))
	server.Kill()
	for _, l := range f.instances {
		for range 3 * capacity {
			if l.Take(context.Background(), charges(limit)).Allowed {
				f.admitted.Add(1)
			}
		}
	}
	if n := f.admitted.Load(); n != capacity+capacity/instances*instances {
		t.Errorf("%d admitted, want exactly %d", n, capacity+capacity/instances*instances)
	}
}
