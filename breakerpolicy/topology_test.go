package breakerpolicy

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// A fleet on a cluster shares its breakers; a master that goes takes down no breakers
// but its own, and those go on at the replica as they were.
func TestFleetOnACluster(t *testing.T) {
	cluster := testenv.StartRedisCluster(t, time.Second)
	c := short()
	c.OpenFor = config.Duration(time.Hour)
	f := newFleet(t, cluster.URL(), time.Second, c)
	f.trip()
	f.until("it is shared", func(_ int, s Status) bool { return s.Shared })
	stop := f.traffic()
	defer stop()
	cluster.Master(redisKey("users")).Kill()
	f.until("all are alone, and open", func(_ int, s Status) bool { return !s.Shared && s.State == StateOpen })
	f.until("it is open and shared again", func(_ int, s Status) bool { return s.State == StateOpen && s.Shared })
	s, err := f.all[0].Force(t.Context(), "users", ForceClosed)
	if err != nil || !s.Shared {
		t.Fatalf("%+v, %v", s, err)
	}
	f.until("all are forced", func(_ int, s Status) bool { return s.Forced == ForceClosed })
}

// Many breakers are reported on together, in a cluster each to its server.
func TestManyBreakersOnACluster(t *testing.T) {
	cluster := testenv.StartRedisCluster(t, 5*time.Second)
	defs := map[string]Definition{}
	for i := range 120 {
		name := fmt.Sprint("b", i)
		defs[name] = Definition{Backend: name, Config: &config.Breaker{MinRequests: 2}}
	}
	a, _ := open(t, Settings{RedisURL: cluster.URL(), RedisTimeout: patient}, defs)
	b, _ := open(t, Settings{RedisURL: cluster.URL(), RedisTimeout: patient}, defs)
	for name := range defs {
		for _, at := range []*Breakers{a, b} {
			o := ended(500)
			o.Backend = name
			at.Observe(o)
		}
	}
	testenv.Eventually(t, "all are open at both", func() error {
		for _, at := range []*Breakers{a, b} {
			for _, c := range at.table.Load().all {
				if s := c.status(at.now()); s.State != StateOpen || !s.Shared {
					return fmt.Errorf("%+v", s)
				}
			}
		}
		return nil
	})
}

// Sentinels fail over: what was open is open at the new master, also where it has not
// heard of it.
func TestFleetOnSentinels(t *testing.T) {
	sentinels := testenv.StartRedisSentinels(t, time.Second)
	c := short()
	c.OpenFor = config.Duration(time.Hour)
	f := newFleet(t, sentinels.URL(), time.Second, c)
	f.trip()
	stop := f.traffic()
	defer stop()
	sentinels.Master.Kill()
	f.until("all are alone, and open", func(_ int, s Status) bool { return !s.Shared && s.State == StateOpen })
	f.until("it is open and shared again", func(_ int, s Status) bool { return s.State == StateOpen && s.Shared })
}
