package ratelimit

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/redisclient"
	"github.com/gatewright/gatewright/internal/testenv"
)

// BenchmarkRedisTogether is what a decision costs, in this process and in Redis,
// when 1, 8 and 64 requests come at the same time: each with a call of its own, by
// go-redis' AutoPipeline (calls of their own that share round trips), and by a lane
// (one call for all).
func BenchmarkRedisTogether(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		for name, way := range map[string]func(*testing.B, *redisStore) func([]item) error{
			"each":         eachAlone,
			"autopipeline": byAutoPipeline,
			"lane":         byLane,
		} {
			b.Run(fmt.Sprintf("%s/%d", name, clients), func(b *testing.B) {
				server := testenv.StartRedis(b)
				r, err := newRedisStore(server.URL(), redisclient.Files{}, 10*time.Second)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = r.close() })
				take := way(b, r)
				bucket := bucketOf(b, 1_000_000, 1000, time.Second)
				var n atomic.Int64
				own, redis := ownCPU(b), redisCPU(b, server)
				b.SetParallelism((clients + 1) / 2) // of GOMAXPROCS
				b.ResetTimer()
				work := func(next func() bool) {
					for next() {
						if err := take([]item{{strconv.FormatInt(n.Add(1)%10_000, 10), of(bucket, 1)}}); err != nil {
							b.Error(err)
							return
						}
					}
				}
				if clients == 1 {
					work(b.Loop)
				} else {
					b.RunParallel(func(pb *testing.PB) { work(pb.Next) })
				}
				b.ReportMetric(float64((ownCPU(b)-own).Nanoseconds())/float64(n.Load()), "ns-go/op")
				b.ReportMetric(float64((redisCPU(b, server)-redis).Nanoseconds())/float64(n.Load()), "ns-redis/op")
			})
		}
	}
}

func eachAlone(_ *testing.B, r *redisStore) func([]item) error {
	return func(items []item) error {
		_, err := r.take(context.Background(), items)
		return err
	}
}

func byAutoPipeline(b *testing.B, r *redisStore) func([]item) error {
	pipe, err := r.client.(*redis.Client).AutoPipeline()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = pipe.Close() })
	ctx := context.Background()
	if err := r.script.Load(ctx, r.client).Err(); err != nil {
		b.Fatal(err)
	}
	return func(items []item) error {
		keys, text := encode(0, []call{{op: opTake, items: items}})
		return pipe.EvalSha(ctx, r.script.Hash(), keys, "", text).Err()
	}
}

func byLane(b *testing.B, r *redisStore) func([]item) error {
	s := openShared(r, 10*time.Second, quiet, newMetrics())
	b.Cleanup(s.only.close)
	return func(items []item) error {
		if s.take(context.Background(), items).lost != nil {
			return errStoreDown
		}
		return nil
	}
}

// ownCPU is what this process has used.
func ownCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// redisCPU is what Redis has used.
func redisCPU(b *testing.B, server *testenv.Redis) (used time.Duration) {
	info, _ := server.Do("INFO", "cpu").(string)
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if seconds, err := strconv.ParseFloat(value, 64); err == nil && (name == "used_cpu_user" || name == "used_cpu_sys") {
			used += time.Duration(seconds * float64(time.Second))
		}
	}
	if used == 0 {
		b.Fatalf("no CPU in %s", info)
	}
	return used
}
