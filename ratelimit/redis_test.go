package ratelimit

import (
	"context"
	"encoding/binary"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/internal/redisclient"
	"github.com/gatewright/gatewright/internal/testenv"
)

func redisOn(t testing.TB, s *testenv.Redis) *redisStore {
	t.Helper()
	r, err := newRedisStore(s.URL(), redisclient.Files{}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.close() })
	return r
}

// A value that the script has not written is a full bucket, and is overwritten.
func TestRedisOverwritesForeignValues(t *testing.T) {
	server := testenv.StartRedis(t)
	r := redisOn(t, server)
	b := bucketOf(t, 5, 1, day)
	key := redisPrefix + "k"
	// Taken for ours, each value would be an empty bucket for years to come.
	const future, unit = 9000000000000000, 86400000000
	for name, write := range map[string][]any{
		"empty":              {"SET", key, ""},
		"junk":               {"SET", key, "\x00\xffjunk"},
		"another version":    {"SET", key, "1" + doubles(0, unit, future)},
		"as it was once":     {"SET", key, "1:0:86400000000:9000000000000000"},
		"a number too few":   {"SET", key, "2" + doubles(0, unit)},
		"half a number":      {"SET", key, "2" + doubles(0, unit, future)[:23]},
		"a number too many":  {"SET", key, "2" + doubles(0, unit, future, 1)},
		"text behind":        {"SET", key, "2" + doubles(0, unit, future) + ";"},
		"half a lease":       {"SET", key, "2" + doubles(0, unit, future) + ";a,1,2"},
		"a negative unit":    {"SET", key, "2" + doubles(0, -unit, future)},
		"a debt above 2^53":  {"SET", key, "2" + doubles(-9007199254740994, unit, future)},
		"an endless debt":    {"SET", key, "2" + doubles(math.Inf(-1), unit, future)},
		"not whole":          {"SET", key, "2" + doubles(0.5, unit, future)},
		"no number":          {"SET", key, "2" + doubles(math.NaN(), unit, future)},
		"no time":            {"SET", key, "2" + doubles(0, unit, math.NaN())},
		"no unit":            {"SET", key, "2" + doubles(0, 0, future)},
		"a unit too large":   {"SET", key, "2" + doubles(0, 9007199254740992, future)},
		"a time before all":  {"SET", key, "2" + doubles(0, unit, -future)},
		"a time above 2^53":  {"SET", key, "2" + doubles(0, unit, 9007199254740994)},
		"a mebibyte of ones": {"SET", key, strings.Repeat("2", 1<<20)},
		"a list":             {"RPUSH", key, "1"},
		"a hash":             {"HSET", key, "1", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			server.Do("FLUSHALL")
			server.Do(write...)
			for want := int64(4); want >= 3; want-- { // the second reads what the first wrote
				results, err := r.take(context.Background(), one("k", b))
				if err != nil {
					t.Fatal(err)
				}
				if !results[0].Allowed || results[0].Remaining != want {
					t.Errorf("got %+v, want %d left of a full bucket", results[0], want)
				}
			}
		})
	}
}

// doubles are numbers as the script writes them.
func doubles(all ...float64) string {
	var text []byte
	for _, n := range all {
		text = binary.LittleEndian.AppendUint64(text, math.Float64bits(n))
	}
	return string(text)
}

// A denial writes nothing, so it works at Redis' memory limit too.
func TestRedisDenialWritesNothing(t *testing.T) {
	server := testenv.StartRedis(t)
	r := redisOn(t, server)
	items := []item{{"k", of(bucketOf(t, 5, 1, day), 6)}}
	if _, err := r.take(context.Background(), items); err != nil {
		t.Fatal(err)
	}
	if n := server.Do("DBSIZE"); n != int64(0) {
		t.Errorf("%v keys after a denial, want none", n)
	}
}

// A key expires when its bucket is full, rounded up, and the margin: neither
// before, which would give tokens, nor long after.
func TestRedisKeysExpireWhenFull(t *testing.T) {
	server := testenv.StartRedis(t)
	r := redisOn(t, server)
	rapid.Check(t, func(t *rapid.T) {
		d := bucketGen.Draw(t, "bucket")
		cost := rapid.Int64Range(1, d.capacity).Draw(t, "cost")
		server.Do("FLUSHALL")
		begin := time.Now()
		if _, err := r.take(context.Background(), []item{{"k", of(d.Bucket, cost)}}); err != nil {
			t.Fatal(err)
		}
		left := server.Do("PTTL", redisPrefix+"k").(int64)
		passed := time.Since(begin).Milliseconds() + 1

		fill := new(big.Rat).Quo(new(big.Rat).SetInt64(cost), d.perMicro()) // microseconds
		exact, _ := new(big.Rat).Quo(fill, new(big.Rat).SetInt64(1000)).Float64()
		margin := int64(100)
		if most := int64(exact) + 2 + margin; left > most {
			t.Fatalf("expires in %d ms, want at most %d", left, most)
		}
		if left < 0 && int64(exact)+margin > passed || left >= 0 && float64(left+passed) < exact+float64(margin) {
			t.Fatalf("expires in %d ms, full after %.3f", left, exact)
		}
	})
}

// A clock that was set back stands still for the buckets it has written, and
// their keys live as much longer.
func TestRedisKeysOutliveAClockSetBack(t *testing.T) {
	server := testenv.StartRedis(t)
	r := redisOn(t, server)
	b := bucketOf(t, 5, 1, time.Second)
	for _, now := range []time.Duration{5 * time.Hour, 0} {
		r.clock = now.Microseconds
		if _, err := r.take(context.Background(), one("k", b)); err != nil {
			t.Fatal(err)
		}
	}
	if left := server.Do("PTTL", redisPrefix+"k").(int64); left < 5*time.Hour.Milliseconds() {
		t.Errorf("expires in %d ms, want at least the hours until the clock has caught up", left)
	}
}

// A script cache that is lost, as by a restart, is filled again on the way.
func TestRedisLoadsTheScriptAgain(t *testing.T) {
	server := testenv.StartRedis(t)
	r := redisOn(t, server)
	b := bucketOf(t, 5, 1, day)
	for want := int64(4); want >= 2; want-- {
		results, err := r.take(context.Background(), one("k", b))
		if err != nil || results[0].Remaining != want {
			t.Errorf("got %+v, %v; want %d left", results, err, want)
		}
		server.Do("SCRIPT", "FLUSH")
	}
}
