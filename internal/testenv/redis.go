package testenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a real Redis of a test's own, on a Unix socket, that keeps nothing
// on disk. It is killed when the test ends.
type Redis struct {
	// Client is the test's own view.
	Client *redis.Client

	t       testing.TB
	program string
	socket  string
	process *os.Process
}

// StartRedis starts one, and returns when it answers. Without a redis-server on
// PATH the test is skipped, or fails, as Envoy says.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, "no redis-server on PATH: apt-get install redis-server, or run `make test`")
	}
	socket := filepath.Join(ShortDir(t), "redis")
	r := &Redis{
		Client: redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1}),
		t:      t, program: program, socket: socket,
	}
	t.Cleanup(func() {
		_ = r.Client.Close() // a test's own connection: nothing is lost
		r.Kill()
	})
	r.Start()
	return r
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
func (r *Redis) URL() string { return "unix://" + r.socket }

// Start starts the process, again after Kill, and waits until it answers.
func (r *Redis) Start() {
	r.t.Helper()
	cmd := exec.Command(r.program, "--port", "0", "--unixsocket", r.socket, "--dir", filepath.Dir(r.socket),
		"--save", "", "--appendonly", "no", "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		r.t.Fatalf("starting %s: %v", r.program, err)
	}
	r.process = cmd.Process
	deadline := time.Now().Add(30 * time.Second)
	for r.Client.Ping(context.Background()).Err() != nil {
		if time.Now().After(deadline) {
			r.t.Fatal("Redis does not answer")
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Kill ends the process without warning, and returns when it is gone.
func (r *Redis) Kill() {
	if r.process != nil {
		_ = r.process.Signal(syscall.SIGCONT) // it may be stopped, or dead
		_ = r.process.Kill()
		_, _ = r.process.Wait()
		r.process = nil
	}
}

// Signal sends the process a signal.
func (r *Redis) Signal(sig syscall.Signal) {
	r.t.Helper()
	if err := r.process.Signal(sig); err != nil {
		r.t.Fatal(err)
	}
}

// Do runs one command, which must succeed.
func (r *Redis) Do(args ...any) any {
	r.t.Helper()
	reply, err := r.Client.Do(context.Background(), args...).Result()
	if err != nil {
		r.t.Fatalf("%v: %v", args, err)
	}
	return reply
}
