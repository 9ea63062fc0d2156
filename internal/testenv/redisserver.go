package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisServer is a redis-server process of a test's own, which keeps nothing on
// disk. It is killed when the test ends.
type RedisServer struct {
	// Client is the test's own view, of this process alone.
	Client *redis.Client
	// Addr is 127.0.0.1:PORT, or the path of a socket.
	Addr string

	t       testing.TB
	program string
	args    []string
	process *os.Process
}

// redisProgram is the program. Without it the test is skipped, or fails, as Envoy
// says.
func redisProgram(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, "no redis-server on PATH: apt-get install redis-server, or run `make test`")
	}
	return program
}

// startRedisServer starts one, and returns when it answers. view says how the test
// reaches it.
func startRedisServer(t testing.TB, view *redis.Options, args ...string) *RedisServer {
	t.Helper()
	view.MaxRetries, view.Protocol = -1, 2
	p := &RedisServer{Client: redis.NewClient(view), Addr: view.Addr, t: t, program: redisProgram(t), args: args}
	t.Cleanup(func() {
		_ = p.Client.Close() // a test's own connection: nothing is lost
		p.Kill()
	})
	p.Start()
	return p
}

// Start starts the process, again after Kill, and waits until it answers.
func (p *RedisServer) Start() {
	p.t.Helper()
	p.start()
	waitForRedis(p.t, p.Client)
}

func (p *RedisServer) start(args ...string) {
	p.t.Helper()
	cmd := NoOrphan(exec.Command(p.program, append(slices.Clone(p.args), args...)...))
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("starting %s: %v", p.program, err)
	}
	p.process = cmd.Process
}

// StartLoading kills the process and starts it again with its data, which it loads
// for a minute, or until Loaded.
func (p *RedisServer) StartLoading() {
	p.t.Helper()
	const keys = 6000
	pipe := p.Client.Pipeline()
	for i := range keys {
		pipe.Set(context.Background(), fmt.Sprint("loaded:", i), 1, 0)
	}
	if _, err := pipe.Exec(context.Background()); err != nil {
		p.t.Fatal(err)
	}
	p.Do("SAVE")
	p.Kill()
	p.start("--key-load-delay", fmt.Sprint(time.Minute.Microseconds()/keys), "--loading-process-events-interval-bytes", "1024")
	Eventually(p.t, "Redis is loading", func() error {
		if err := p.Client.Ping(context.Background()).Err(); !redis.HasErrorPrefix(err, "LOADING") {
			return fmt.Errorf("it says %w", err)
		}
		return nil
	})
}

// Loaded has the rest loaded at once, and waits until it is.
func (p *RedisServer) Loaded() {
	p.t.Helper()
	p.Do("CONFIG", "SET", "key-load-delay", "0")
	waitForRedis(p.t, p.Client)
}

func waitForRedis(t testing.TB, client *redis.Client) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := client.Ping(context.Background()).Err()
		if err == nil || redis.HasErrorPrefix(err, "NOAUTH") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("Redis does not answer: %v", err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Kill ends the process without warning, and returns when it is gone.
func (p *RedisServer) Kill() {
	if p.process != nil {
		_ = p.process.Signal(syscall.SIGCONT) // it may be stopped, or dead
		_ = p.process.Kill()
		_, _ = p.process.Wait()
		p.process = nil
	}
}

// Signal sends the process a signal.
func (p *RedisServer) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// Do runs one command, which must succeed.
func (p *RedisServer) Do(args ...any) any {
	p.t.Helper()
	reply, err := p.Client.Do(context.Background(), args...).Result()
	if err != nil {
		p.t.Fatalf("%v on %s: %v", args, p.Addr, err)
	}
	return reply
}

// memoryOnly are the arguments of a server that keeps nothing on disk.
func memoryOnly(dir string, args ...string) []string {
	return append([]string{
		"--dir", dir, "--save", "", "--appendonly", "no", "--loglevel", "warning",
		"--logfile", filepath.Join(dir, "log"), "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
	}, args...)
}

// nodeDir makes the folder of one server of several.
func nodeDir(t testing.TB, parent string, i int) string {
	t.Helper()
	dir := filepath.Join(parent, fmt.Sprint(i))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// portOf is the port of an address that Addr gave.
func portOf(addr string) string { return addr[len("127.0.0.1:"):] }
