package testenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Redis is a real Redis of a test's own, on a Unix socket.
type Redis struct {
	*RedisServer

	dir string
}

// StartRedis starts one, and returns when it answers. Without a redis-server on
// PATH the test is skipped, or fails, as Envoy says.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	return startRedis(t)
}

// StartDurableRedis starts one that has each write on its disk before it answers, so
// that it has all of them after Kill and Start, unless it is to Forget.
func StartDurableRedis(t testing.TB) *Redis {
	t.Helper()
	return startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
}

func startRedis(t testing.TB, more ...string) *Redis {
	t.Helper()
	dir := ShortDir(t)
	socket := filepath.Join(dir, "redis")
	args := append([]string{"--port", "0", "--unixsocket", socket}, more...)
	return &Redis{startRedisServer(t, &redis.Options{Network: "unix", Addr: socket}, memoryOnly(dir, args...)...), dir}
}

// Forget removes what a server that is killed has on its disk.
func (r *Redis) Forget() {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Join(r.dir, "appendonlydir")); err != nil {
		r.t.Fatal(err)
	}
}

// ShortDir is a folder for sockets, whose paths have at most 107 bytes. It is
// removed when the test ends.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// URL is what GATEWRIGHT_REDIS_URL is set to.
func (r *Redis) URL() string { return "unix://" + r.Addr }
