package ratelimit

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/redisclient"
)

// redisPrefix begins every key: the version of the value's format, and a
// constant hash tag. The tag puts all buckets into one slot of a Redis Cluster:
// the buckets of one request are charged together or not at all, and one script
// can only do that within a slot. Spreading the load over slots would need a
// tag that all limits of a request share, which their keys do not have.
const redisPrefix = "gw:rl:1:{all}:"

// redisStore keeps buckets in one Redis, on that Redis' clock, so that all
// instances share them.
type redisStore struct {
	client redis.UniversalClient
	script *redis.Script
	leases *redis.Script
	clock  func() int64 // nil but in tests: Redis' own
}

// newRedisStore returns a store on the Redis at rawURL (see redisclient.Client),
// whose calls end after timeout. It does not connect. Errors are malformed URLs
// and unusable files; they do not repeat the URL, which may hold a password.
func newRedisStore(rawURL string, files redisclient.Files, timeout time.Duration) (*redisStore, error) {
	client, err := redisclient.Client(rawURL, files, redisclient.Needs{
		Timeout: timeout,
		// A connection carries some thousand calls a second; Redis' one thread is
		// the end of it long before 64.
		PoolSize: min(10*runtime.GOMAXPROCS(0), 64),
		Idle:     2,
	})
	if err != nil {
		return nil, err
	}
	return &redisStore{
		client: client,
		script: redis.NewScript(commonSource + takeSource),
		leases: redis.NewScript(commonSource + leaseSource),
	}, nil
}

// take implements store by one call of the script.
func (r *redisStore) take(ctx context.Context, items []item) ([]Result, error) {
	results, err := r.run(ctx, []call{{op: opTake, items: items}})
	if err != nil {
		return nil, err
	}
	return results[0], nil
}

// run answers several calls, in their order, by one call of the script. An error
// is that of all: each may have been done or not.
func (r *redisStore) run(ctx context.Context, calls []call) ([][]Result, error) {
	keys, args := encode(r.time(), r.around(), calls)
	inline.Blocks(ctx)
	reply, err := r.script.Run(ctx, r.client, keys, args...).Int64Slice()
	if err != nil {
		return nil, fmt.Errorf("taking from Redis: %w", err)
	}
	results, err := decode(calls, reply)
	if err != nil {
		return nil, fmt.Errorf("taking from Redis: %w", err)
	}
	return results, nil
}

// time is the script's clock argument: none, but in tests.
func (r *redisStore) time() string {
	if r.clock == nil {
		return ""
	}
	return strconv.FormatInt(r.clock(), 10)
}

// around is about the time of the script's clock, by this process' own.
func (r *redisStore) around() int64 {
	if r.clock == nil {
		return time.Now().UnixMicro()
	}
	return r.clock()
}

// ping is one real charge, of a bucket that nobody else uses: a Redis that
// answers PING may still refuse scripts and writes.
func (r *redisStore) ping(ctx context.Context) error {
	bucket := Bucket{capacity: 1000, unit: 1, rate: 1}
	_, err := r.take(ctx, []item{{key: "#ping", Demand: Demand{Definition: bucket, Cost: 1}}})
	return err
}

func (r *redisStore) close() error { return r.client.Close() }
