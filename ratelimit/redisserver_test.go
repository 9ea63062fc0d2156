package ratelimit

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

// redisServer is a real Redis of a test's own, on a unix socket.
type redisServer struct {
	t       testing.TB
	program string
	socket  string
	process *os.Process
	client  *redis.Client // the test's own view
}

// startRedis starts one, and kills it at the end of the test.
func startRedis(t testing.TB) *redisServer {
	t.Helper()
	program := redisProgram(t)
	dir, err := os.MkdirTemp("", "gwrl") // short: the path of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{t: t, program: program, socket: filepath.Join(dir, "s")}
	s.client = redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket, MaxRetries: -1})
	t.Cleanup(func() {
		_ = s.client.Close()
		s.kill()
		_ = os.RemoveAll(dir)
	})
	s.start()
	return s
}

// redisProgram is the redis-server to test with. Without one the test is
// skipped, but fails in CI.
func redisProgram(t testing.TB) string {
	if p := os.Getenv("GATEWRIGHT_REDIS_SERVER"); p != "" {
		return p
	}
	p, err := exec.LookPath("redis-server")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal("no redis-server: set GATEWRIGHT_REDIS_SERVER, or install one (apt-get install redis-server)")
	default:
		t.Skip("no redis-server: set GATEWRIGHT_REDIS_SERVER, or install one (apt-get install redis-server)")
	}
	return p
}

func (s *redisServer) url() string { return "unix://" + s.socket }

// start starts the process and waits until it answers.
func (s *redisServer) start() {
	s.t.Helper()
	cmd := exec.Command(s.program, "--port", "0", "--unixsocket", s.socket, "--dir", filepath.Dir(s.socket),
		"--save", "", "--appendonly", "no", "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("starting %s: %v", s.program, err)
	}
	s.process = cmd.Process
	waitFor(s.t, "Redis to answer", func() bool { return s.client.Ping(context.Background()).Err() == nil })
}

// kill ends the process without warning.
func (s *redisServer) kill() {
	if s.process != nil {
		_ = s.process.Signal(syscall.SIGCONT)
		_ = s.process.Kill()
		_, _ = s.process.Wait()
		s.process = nil
	}
}

func (s *redisServer) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// do runs one command.
func (s *redisServer) do(args ...any) any {
	s.t.Helper()
	reply, err := s.client.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return reply
}

// waitFor waits until the condition holds, and fails the test if it never does.
func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
