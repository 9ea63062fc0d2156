package keys

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// redisFaults are ways in which a Redis does not do what it is asked.
var redisFaults = map[string]struct {
	begin, end func(testing.TB, *testenv.Redis)
	// reads says that values can still be read.
	reads bool
}{
	"killed": {
		begin: func(_ testing.TB, s *testenv.Redis) { s.Kill() },
		end:   func(_ testing.TB, s *testenv.Redis) { s.Start() },
	},
	"stopped": {
		begin: func(_ testing.TB, s *testenv.Redis) { s.Signal(syscall.SIGSTOP) },
		end:   func(_ testing.TB, s *testenv.Redis) { s.Signal(syscall.SIGCONT) },
	},
	"out of memory": {
		begin: func(_ testing.TB, s *testenv.Redis) { s.Do("CONFIG", "SET", "maxmemory", "1") },
		end:   func(_ testing.TB, s *testenv.Redis) { s.Do("CONFIG", "SET", "maxmemory", "0") },
		reads: true,
	},
	"a replica": {
		begin: func(_ testing.TB, s *testenv.Redis) { s.Do("REPLICAOF", "127.0.0.1", "1") },
		end:   func(_ testing.TB, s *testenv.Redis) { s.Do("REPLICAOF", "NO", "ONE") },
		reads: true,
	},
	"a password is asked for": {
		begin: func(_ testing.TB, s *testenv.Redis) {
			s.Do("CONFIG", "SET", "requirepass", "secret")
			s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		},
		end: func(_ testing.TB, s *testenv.Redis) { s.Do("CONFIG", "SET", "requirepass", "") },
	},
	"busy with a script": {
		begin: func(t testing.TB, s *testenv.Redis) {
			s.Do("CONFIG", "SET", "busy-reply-threshold", "1")
			go s.Client.Eval(context.Background(), "while true do end", nil)
			eventually(t, func() bool {
				err := s.Client.Ping(context.Background()).Err()
				return err != nil && strings.HasPrefix(err.Error(), "BUSY")
			})
		},
		end: func(_ testing.TB, s *testenv.Redis) { s.Do("SCRIPT", "KILL") },
	},
}

// TestRedisFaultsChangeNoVerdict: whatever is wrong with Redis, keys are judged
// by the database, few look-ups find out, and when it is well it is used again.
func TestRedisFaultsChangeNoVerdict(t *testing.T) {
	t.Parallel()
	for name, fault := range redisFaults {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			writer := f.instance(t)
			// Each of its look-ups that finds Redis hanging waits for this long.
			r := f.instanceWith(t, time.Second, func(*rig) {})
			_, before := create(t, f.command)
			writer.want(t, before, Valid)
			f.value(t, before)
			r.poll(t)
			r.wantFrom(t, before, Valid, layerRedis)

			_, shared := create(t, f.command)
			writer.want(t, shared, Valid)
			f.value(t, shared)
			fault.begin(t, f.redis)
			began := time.Now()
			from := layerDatabase
			if fault.reads {
				from = layerRedis
			}
			r.poll(t)
			r.wantFrom(t, shared, Valid, from)
			for range 100 {
				r.want(t, before, Valid)
				r.want(t, unknownKey(t), Unknown)
			}
			for range 5 {
				record, text := create(t, f.command)
				r.wantFrom(t, text, Valid, layerDatabase)
				if _, err := f.command.Revoke(t.Context(), record.ID); err != nil {
					t.Fatal(err)
				}
				eventually(t, func() bool { return r.find(t, text).State == Revoked })
			}
			if r.health.Load().err != nil {
				t.Error("the database is taken for down")
			}
			// The pauses double, from a quarter of a second on.
			bound := 2 + 4*time.Since(began).Seconds()
			if n := r.failures(callRead); n > bound || fault.reads && n > 0 || !fault.reads && n == 0 {
				t.Errorf("%v reads of Redis failed, of 107, want some, and at most %v", n, bound)
			}
			if n := r.failures(callWrite); n > bound {
				t.Errorf("%v writes to Redis failed, want at most %v", n, bound)
			}

			fault.end(t, f.redis)
			eventually(t, func() bool { // once the pause is over
				_, text := create(t, f.command)
				r.want(t, text, Valid)
				parsed, _ := Parse(text)
				return len(f.names(t, parsed.ID)) == 1
			})
			eventually(t, func() bool {
				_, text := create(t, f.command)
				writer.want(t, text, Valid)
				hits := r.from(layerRedis)
				r.want(t, text, Valid)
				return r.from(layerRedis) > hits
			})
		})
	}
}

// TestRedisIsNotThereAtStart: it is used once it is.
func TestRedisIsNotThereAtStart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.redis.Kill()
	r := f.instance(t)
	_, text := create(t, f.command)
	r.wantFrom(t, text, Valid, layerDatabase)
	f.redis.Start()
	eventually(t, func() bool {
		_, text := create(t, f.command)
		r.want(t, text, Valid)
		parsed, _ := Parse(text)
		return len(f.names(t, parsed.ID)) == 1
	})
}

// TestRedisIsNoSecondDatabase: without the database, what this instance does not
// know is not judged, whatever Redis holds; what it knows goes on.
func TestRedisIsNoSecondDatabase(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	one, two := f.instance(t), f.instance(t)
	_, known := create(t, f.command)
	_, unread := create(t, f.command)
	one.want(t, known, Valid)
	one.want(t, unread, Valid)
	f.value(t, unread)
	two.want(t, known, Valid)
	two.tap.refused.Store(true)
	eventually(t, func() bool { return two.health.Load().err != nil })
	two.want(t, known, Valid)
	if answer, err := two.Find(t.Context(), unread); err == nil {
		t.Errorf("%s without the database", answer.State)
	}
	two.tap.refused.Store(false)
	eventually(t, func() bool { return two.health.Load().err == nil })
	two.want(t, unread, Valid)
}
