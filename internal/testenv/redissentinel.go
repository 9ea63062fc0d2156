package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisSentinels is a master, a replica and three sentinels of a test's own, on
// loopback.
type RedisSentinels struct {
	Master, Replica *RedisServer
	Sentinels       []*RedisServer
}

// sentinelMaster is the name that the sentinels know the master by.
const sentinelMaster = "main"

// StartRedisSentinels starts them, and returns when each sentinel knows all
// others. A master that does not answer for downAfter is failed over.
func StartRedisSentinels(t testing.TB, downAfter time.Duration) *RedisSentinels {
	t.Helper()
	parent := ShortDir(t)
	server := func(i int, args ...string) *RedisServer {
		addr := Addr(t)
		return startRedisServer(t, &redis.Options{Addr: addr}, memoryOnly(nodeDir(t, parent, i),
			append([]string{"--bind", "127.0.0.1", "--port", portOf(addr)}, args...)...)...)
	}
	s := &RedisSentinels{Master: server(0)}
	s.Replica = server(1, "--replicaof", "127.0.0.1 "+portOf(s.Master.Addr))
	Eventually(t, "the replica follows", func() error {
		info, err := s.Replica.Client.Info(context.Background(), "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			return fmt.Errorf("it says %s", info)
		}
		return err
	})
	for i := range 3 {
		dir, addr := nodeDir(t, parent, 2+i), Addr(t)
		file := filepath.Join(dir, "sentinel.conf") // it is written to by the sentinel
		text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nloglevel warning\nlogfile %s\n"+
			"sentinel monitor %[4]s 127.0.0.1 %[5]s 2\nsentinel down-after-milliseconds %[4]s %[6]s\nsentinel failover-timeout %[4]s 3000\n",
			portOf(addr), dir, filepath.Join(dir, "log"), sentinelMaster, portOf(s.Master.Addr), strconv.FormatInt(downAfter.Milliseconds(), 10))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Sentinels = append(s.Sentinels, startRedisServer(t, &redis.Options{Addr: addr}, file, "--sentinel"))
	}
	s.waitUntilKnown(t)
	return s
}

// waitUntilKnown waits until each sentinel knows the two others and the replica:
// before that it cannot fail over.
func (s *RedisSentinels) waitUntilKnown(t testing.TB) {
	t.Helper()
	Eventually(t, "the sentinels know each other", func() error {
		for _, one := range s.Sentinels {
			info, err := one.Client.Info(context.Background(), "sentinel").Result()
			if err != nil {
				return err
			}
			if !strings.Contains(info, "slaves=1,sentinels=3") {
				return fmt.Errorf("%s says %s", one.Addr, info)
			}
		}
		return nil
	})
}

// URL is what GATEWRIGHT_REDIS_URL is set to.
func (s *RedisSentinels) URL() string {
	return "redis+sentinel://" + s.Sentinels[0].Addr + "," + s.Sentinels[1].Addr + "/" + sentinelMaster
}
