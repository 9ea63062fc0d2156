package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/demo"
	"github.com/gatewright/gatewright/internal/testenv"
)

// service is a demo backend on an address of its own.
type service struct {
	*demo.Backend
	*demo.Server
}

// backend starts a demo backend for a test.
func backend(t testing.TB, name string) service {
	t.Helper()
	b := demo.NewBackend(name)
	s, err := demo.Start("127.0.0.1:0", b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return service{b, s}
}

// idp starts a demo identity provider for a test.
func idp(t testing.TB) *demo.IDP {
	t.Helper()
	addr := testenv.Addr(t)
	p, err := demo.NewIDP("http://"+addr, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s, err := demo.Start(addr, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return p
}

// token is a token with these claims, each "name=value", beside the usual ones.
func token(t testing.TB, p *demo.IDP, claims ...string) string {
	t.Helper()
	all := map[string]any{}
	for _, c := range claims {
		name, value, _ := strings.Cut(c, "=")
		all[name] = value
	}
	return p.Token(all)
}

// redisServer is a real Redis on a socket of its own.
type redisServer struct {
	t      testing.TB
	socket string
	cmd    *exec.Cmd
}

// startRedis starts a Redis that keeps nothing on disk.
func startRedis(t testing.TB) *redisServer {
	t.Helper()
	r := &redisServer{t: t, socket: filepath.Join(t.TempDir(), "redis.sock")}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *redisServer) start() {
	r.t.Helper()
	r.cmd = exec.Command(testenv.Redis(r.t), "--port", "0", "--unixsocket", r.socket,
		"--save", "", "--appendonly", "no", "--dir", filepath.Dir(r.socket))
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: r.socket})
	defer c.Close()
	eventually(r.t, "Redis answers", func() error { return c.Ping(r.t.Context()).Err() })
}

func (r *redisServer) kill() {
	_ = r.cmd.Process.Kill() // it may be dead
	_ = r.cmd.Wait()
}

// url is what GATEWRIGHT_REDIS_URL is set to.
func (r *redisServer) url() string { return "unix://" + r.socket }
