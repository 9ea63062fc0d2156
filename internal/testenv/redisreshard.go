package testenv

import (
	"context"
	"strconv"
	"strings"
)

// SlotMove is a slot of a RedisCluster on its way from one master to another. Until
// its End, commands for keys that have moved, or are not there yet, are answered
// with ASK, and those for keys of which some are here and some there with TRYAGAIN.
type SlotMove struct {
	cluster  *RedisCluster
	slot     int64
	from, to *RedisServer
	toID     any
}

// BeginMove begins to move the slot of a key to another master.
func (c *RedisCluster) BeginMove(key string, to *RedisServer) *SlotMove {
	c.t.Helper()
	from := c.Master(key)
	m := &SlotMove{cluster: c, slot: from.Do("CLUSTER", "KEYSLOT", key).(int64), from: from, to: to, toID: to.Do("CLUSTER", "MYID")}
	to.Do("CLUSTER", "SETSLOT", m.slot, "IMPORTING", from.Do("CLUSTER", "MYID"))
	from.Do("CLUSTER", "SETSLOT", m.slot, "MIGRATING", m.toID)
	return m
}

// Keys moves n keys, if there are as many, and says how many it has moved.
func (m *SlotMove) Keys(n int) int {
	m.cluster.t.Helper()
	keys := m.from.Do("CLUSTER", "GETKEYSINSLOT", m.slot, n).([]any)
	if len(keys) > 0 {
		m.from.Do(append([]any{"MIGRATE", "127.0.0.1", portOf(m.to.Addr), "", 0, 5000, "KEYS"}, keys...)...)
	}
	return len(keys)
}

// End moves what is left, and tells all masters whose slot it is now.
func (m *SlotMove) End() {
	m.cluster.t.Helper()
	for m.Keys(100) > 0 {
	}
	m.to.Do("CLUSTER", "SETSLOT", m.slot, "NODE", m.toID)
	m.from.Do("CLUSTER", "SETSLOT", m.slot, "NODE", m.toID)
	for _, n := range m.cluster.Nodes {
		if n != m.to && n != m.from && n.isMaster() {
			n.Do("CLUSTER", "SETSLOT", m.slot, "NODE", m.toID)
		}
	}
}

func (p *RedisServer) isMaster() bool {
	p.t.Helper()
	info, err := p.Client.Info(context.Background(), "replication").Result()
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Contains(info, "role:master")
}

// Answered is how many commands the nodes that run have answered with an error of
// this name, as MOVED.
func (c *RedisCluster) Answered(name string) int {
	c.t.Helper()
	sum := 0
	for _, n := range c.Nodes {
		if n.process == nil {
			continue
		}
		stats, err := n.Client.Info(context.Background(), "errorstats").Result()
		if err != nil {
			c.t.Fatal(err)
		}
		if _, rest, found := strings.Cut(stats, "errorstat_"+name+":count="); found {
			count, _, _ := strings.Cut(rest, "\r\n")
			number, err := strconv.Atoi(count)
			if err != nil {
				c.t.Fatal(err)
			}
			sum += number
		}
	}
	return sum
}
