package ratelimit

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/redisclient"
	"github.com/gatewright/gatewright/internal/testenv"
)

func TestMain(m *testing.M) {
	LogRedis(quiet) // the faults below are loud
	os.Exit(m.Run())
}

// storeCalls is how many requests have reached Redis, or tried to.
func storeCalls(t testing.TB, l *Limiter) uint64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(l.metrics.storeSeconds)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetHistogram().GetSampleCount()
}

// Whatever is wrong with Redis: no request is denied for it but by a limit that
// asks for that; one request finds out, and no other reaches Redis; and when it
// answers again, it decides again.
func TestRedisFaults(t *testing.T) {
	for name, fault := range map[string]struct {
		begin, end func(*testing.T, *testenv.Redis)
	}{
		"killed and restarted": {
			func(_ *testing.T, s *testenv.Redis) { s.Kill() },
			func(_ *testing.T, s *testenv.Redis) { s.Start() }, // without the script: NOSCRIPT
		},
		"stopped": {
			func(_ *testing.T, s *testenv.Redis) { s.Signal(syscall.SIGSTOP) },
			func(_ *testing.T, s *testenv.Redis) { s.Signal(syscall.SIGCONT) },
		},
		"out of memory": {
			func(_ *testing.T, s *testenv.Redis) { s.Do("CONFIG", "SET", "maxmemory", "1") },
			func(_ *testing.T, s *testenv.Redis) { s.Do("CONFIG", "SET", "maxmemory", "0") },
		},
		"a replica": {
			func(_ *testing.T, s *testenv.Redis) { s.Do("REPLICAOF", "127.0.0.1", "1") },
			func(_ *testing.T, s *testenv.Redis) { s.Do("REPLICAOF", "NO", "ONE") },
		},
		"loading its data": {
			func(_ *testing.T, s *testenv.Redis) { s.StartLoading() },
			func(_ *testing.T, s *testenv.Redis) { s.Loaded() },
		},
		"busy with a script": {beginBusy, func(_ *testing.T, s *testenv.Redis) { s.Do("SCRIPT", "KILL") }},
		"a password is asked for": {
			func(_ *testing.T, s *testenv.Redis) {
				s.Do("CONFIG", "SET", "requirepass", "secret")
				s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			},
			func(_ *testing.T, s *testenv.Redis) { s.Do("CONFIG", "SET", "requirepass", "") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartRedis(t)
			l := open(t, Settings{RedisURL: server.URL(), RedisTimeout: time.Second}, nil)
			ctx := context.Background()
			limit := perUser("local", 10, config.FailLocal)
			waitFor(t, "Redis to decide", func() bool { return !l.Take(ctx, charges(limit)).StoreDown })

			fault.begin(t, server)
			before := storeCalls(t, l)
			if d := l.Take(ctx, charges(limit)); !d.Allowed || !d.StoreDown || d.Capacity != 10 {
				t.Errorf("local: got %+v, want decided by this instance", d)
			}
			if d := l.Take(ctx, charges(perUser("allow", 1, config.FailAllow))); !d.Allowed || !d.StoreDown {
				t.Errorf("allow: got %+v, want allowed", d)
			}
			if d := l.Take(ctx, charges(perUser("deny", 1, config.FailDeny))); d.Allowed || !d.Unavailable {
				t.Errorf("deny: got %+v, want unavailable", d)
			}
			if n := storeCalls(t, l) - before; n != 1 {
				t.Errorf("%d requests reached Redis, want 1", n)
			}

			fault.end(t, server)
			look := charges(limit)
			look[0].Cost = NoCost
			waitFor(t, "Redis to decide again", func() bool { return !l.Take(ctx, look).StoreDown })
		})
	}
}

// beginBusy occupies Redis with a script that does not end.
func beginBusy(t *testing.T, s *testenv.Redis) {
	t.Helper()
	s.Do("CONFIG", "SET", "busy-reply-threshold", "1")
	go s.Client.Eval(context.Background(), "while true do end", nil)
	waitFor(t, "Redis to be busy", func() bool {
		err := s.Client.Ping(context.Background()).Err()
		return err != nil && strings.HasPrefix(err.Error(), "BUSY")
	})
}

// Redis dies under traffic: every request is decided, and no more of them
// reach for it than were on the way.
func TestRedisKilledUnderTraffic(t *testing.T) {
	const clients = 8
	server := testenv.StartRedis(t)
	l := open(t, Settings{RedisURL: server.URL(), RedisTimeout: 10 * time.Second}, nil)
	limit := perUser("l", 1<<16, config.FailLocal)

	var decided, undecided, longest atomic.Int64
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	for range clients {
		traffic.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				begin := time.Now()
				if d := l.Take(context.Background(), charges(limit)); d.Limit != "l" || d.Unavailable {
					undecided.Add(1)
				}
				decided.Add(1)
				if took := int64(time.Since(begin)); took > longest.Load() {
					longest.Store(took)
				}
			}
		})
	}
	more := func(n int64) {
		from := decided.Load()
		waitFor(t, "traffic", func() bool { return decided.Load() >= from+n })
	}
	more(500)
	server.Kill()
	waitFor(t, "the guard to close", func() bool { return !l.shared.up() })
	atTrip := storeCalls(t, l)
	more(5000)
	if n := storeCalls(t, l) - atTrip; n > clients {
		t.Errorf("%d requests reached for a dead Redis, want at most the %d on the way", n, clients)
	}
	server.Start()
	waitFor(t, "Redis to decide again", l.shared.up)
	back := storeCalls(t, l)
	waitFor(t, "traffic in Redis", func() bool { return storeCalls(t, l) > back+100 })
	close(stop)
	traffic.Wait()
	if n := undecided.Load(); n > 0 {
		t.Errorf("%d of %d requests were not decided", n, decided.Load())
	}
	if took := time.Duration(longest.Load()); took > 10*time.Second+5*time.Second {
		t.Errorf("a request took %v, more than the timeout", took)
	}
}

// Replies that no Redis of ours gives are errors, never decisions.
func TestRedisRefusesStrangeReplies(t *testing.T) {
	for name, reply := range map[string]string{
		"loading":            "-LOADING Redis is loading the dataset in memory\r\n",
		"misconfigured":      "-MISCONF Redis is configured to save RDB snapshots\r\n",
		"no permission":      "-NOPERM this user has no permissions\r\n",
		"NOSCRIPT for ever":  "-NOSCRIPT No matching script\r\n",
		"moved":              "-MOVED 1 127.0.0.1:1\r\n",
		"cluster down":       "-CLUSTERDOWN The cluster is down\r\n",
		"no array":           ":1\r\n",
		"nothing":            "$-1\r\n",
		"too short":          numbers(1, 1, 1, 4, 0),
		"too long":           numbers(1, 1, 1, 4, 0, 1, 1),
		"half charged":       numbers(1, 2, 1, 4, 0, 1),
		"charged and denied": numbers(1, 1, 0, 4, 1, 1),
		"denied and allowed": numbers(1, 0, 1, 4, 0, 1),
		"half allowed":       numbers(1, 1, 2, 4, 0, 1),
		"less than none":     numbers(1, 1, 1, -1, 0, 1),
		"more than all":      numbers(1, 1, 1, 6, 0, 1),
		"a wait for nothing": numbers(1, 1, 1, 4, 1, 1),
		"a denial at once":   numbers(1, 0, 0, 0, 0, 1),
		"a time before":      numbers(1, 0, 0, 0, -2, 1),
		"full in the past":   numbers(1, 1, 1, 4, 0, -1),
		"texts":              "*4\r\n+a\r\n+b\r\n+c\r\n+d\r\n",
		"not Redis":          "HTTP/1.1 400 Bad Request\r\n\r\n",
		"an endless line":    strings.Repeat("x", 1<<16),
		"silence":            "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 10 * time.Second
			if !strings.HasSuffix(reply, "\n") {
				timeout = 50 * time.Millisecond // it has to pass
			}
			r, err := newRedisStore("redis://"+fakeRedis(t, reply), redisclient.Files{}, timeout)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.close() }()
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			if results, err := r.take(ctx, one("k", bucketOf(t, 5, 1, day))); err == nil {
				t.Errorf("got %+v, want an error", results)
			}
		})
	}
}

// numbers is a reply of Redis.
func numbers(all ...int) string {
	reply := fmt.Sprintf("*%d\r\n", len(all))
	for _, n := range all {
		reply += fmt.Sprintf(":%d\r\n", n)
	}
	return reply
}

// fakeRedis answers each command with the same bytes, and returns its address.
func fakeRedis(t *testing.T, reply string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if strings.HasPrefix(lines.Text(), "*") { // a command begins
						if _, err := conn.Write([]byte(reply)); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}
