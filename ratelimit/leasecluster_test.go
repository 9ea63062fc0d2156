package ratelimit

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// In a cluster the shares and views of an instance are in many slots, on several
// servers: each bucket admits its capacity, and most requests are decided here.
func TestNearInACluster(t *testing.T) {
	const clients, capacity = 20, 100
	cluster := testenv.StartRedisCluster(t, time.Minute) // no failover
	for _, consistency := range []config.Consistency{config.Lease, config.Sync} {
		l := open(t, Settings{RedisURL: cluster.URL(), RedisTimeout: 10 * time.Second}, nil)
		limit := perUser(string(consistency), capacity, config.FailDeny)
		limit.Consistency = consistency
		admitted := make([]int, clients)
		for range 2 * capacity {
			for u := range clients {
				d := l.Take(context.Background(), []Charge{{Limit: limit, Key: []string{strconv.Itoa(u)}}})
				if d.StoreDown {
					t.Fatalf("%s: decided without Redis", consistency)
				}
				if d.Allowed {
					admitted[u]++
				}
			}
		}
		for u, n := range admitted {
			if n > capacity || n < capacity*9/10 {
				t.Errorf("%s: client %d was admitted %d times, want %d or a few less", consistency, u, n, capacity)
			}
		}
		if l.near.leases.shares.size()+l.near.views.views.size() != clients {
			t.Errorf("%s: %d shares and %d views, want %d", consistency, l.near.leases.shares.size(), l.near.views.views.size(), clients)
		}
	}
}
