package testenv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	clusterMasters = 3
	clusterSlots   = 16384
)

// RedisCluster is a real Redis Cluster of a test's own: three masters and three
// replicas on loopback, which keep nothing on disk.
type RedisCluster struct {
	// Nodes are the servers: the masters first, node i+3 a replica of node i, as
	// long as none has failed over.
	Nodes []*RedisServer

	t testing.TB
}

// StartRedisCluster starts one, and returns when all slots are served and all
// replicas follow. A master that does not answer for nodeTimeout is failed over.
func StartRedisCluster(t testing.TB, nodeTimeout time.Duration) *RedisCluster {
	t.Helper()
	c := &RedisCluster{t: t}
	parent := ShortDir(t)
	for i := range 2 * clusterMasters {
		addr, bus := Addr(t), Addr(t)
		c.Nodes = append(c.Nodes, startRedisServer(t, &redis.Options{Addr: addr}, memoryOnly(nodeDir(t, parent, i),
			"--bind", "127.0.0.1", "--port", portOf(addr), "--cluster-port", portOf(bus),
			"--cluster-enabled", "yes", "--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10),
			"--cluster-replica-validity-factor", "0")...))
		c.Nodes[i].Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			c.Nodes[0].Do("CLUSTER", "MEET", "127.0.0.1", portOf(addr), portOf(bus))
		}
		if i < clusterMasters {
			c.Nodes[i].Do("CLUSTER", "ADDSLOTSRANGE", i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1)
		}
	}
	c.replicate()
	c.WaitUntilWhole()
	return c
}

// replicate makes node i+3 follow node i, once it has heard of it.
func (c *RedisCluster) replicate() {
	c.t.Helper()
	for i, replica := range c.Nodes[clusterMasters:] {
		master, ok := c.Nodes[i].Do("CLUSTER", "MYID").(string)
		if !ok {
			c.t.Fatal("CLUSTER MYID is no text")
		}
		Eventually(c.t, "a replica knows its master", func() error {
			return replica.Client.Do(context.Background(), "CLUSTER", "REPLICATE", master).Err()
		})
	}
}

// WaitUntilWhole waits until each node that runs sees all slots served and all
// others that run, and each replica follows a master.
func (c *RedisCluster) WaitUntilWhole() {
	c.t.Helper()
	Eventually(c.t, "the cluster is whole", func() error {
		for _, n := range c.Nodes {
			if n.process == nil {
				continue
			}
			info, err := n.Client.ClusterInfo(context.Background()).Result()
			if err != nil {
				return err
			}
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:6") {
				return fmt.Errorf("%s says %s", n.Addr, info)
			}
			role, err := n.Client.Info(context.Background(), "replication").Result()
			if err != nil {
				return err
			}
			if strings.Contains(role, "role:slave") && !strings.Contains(role, "master_link_status:up") {
				return fmt.Errorf("%s does not follow its master yet", n.Addr)
			}
		}
		return nil
	})
}

// URL is what GATEWRIGHT_REDIS_URL is set to: two of the nodes.
func (c *RedisCluster) URL() string { return "redis://" + c.Nodes[0].Addr + "," + c.Nodes[5].Addr }

// Client returns a client of the test's own, closed when it ends.
func (c *RedisCluster) Client() *redis.ClusterClient {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.Nodes[0].Addr, c.Nodes[1].Addr, c.Nodes[2].Addr}})
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Master is the node that serves the slot of a key now.
func (c *RedisCluster) Master(key string) *RedisServer {
	c.t.Helper()
	var found *RedisServer
	Eventually(c.t, "the key's slot has a master", func() (err error) {
		found, err = c.master(key)
		return err
	})
	return found
}

// master asks the nodes that run, one after the other.
func (c *RedisCluster) master(key string) (*RedisServer, error) {
	faults := []error{fmt.Errorf("nobody serves %s", key)}
	for _, asked := range c.Nodes {
		if asked.process == nil {
			continue
		}
		slot, err := asked.Client.ClusterKeySlot(context.Background(), key).Result()
		if err != nil {
			faults = append(faults, err)
			continue
		}
		shards, err := asked.Client.ClusterShards(context.Background()).Result()
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, shard := range shards {
			if slices.ContainsFunc(shard.Slots, func(r redis.SlotRange) bool { return r.Start <= slot && slot <= r.End }) {
				if node := c.runningMaster(shard); node != nil {
					return node, nil
				}
			}
		}
	}
	return nil, errors.Join(faults...)
}

func (c *RedisCluster) runningMaster(shard redis.ClusterShard) *RedisServer {
	for _, n := range shard.Nodes {
		i := slices.IndexFunc(c.Nodes, func(ours *RedisServer) bool { return portOf(ours.Addr) == fmt.Sprint(n.Port) })
		if n.Role == "master" && i >= 0 && c.Nodes[i].process != nil {
			return c.Nodes[i]
		}
	}
	return nil
}
