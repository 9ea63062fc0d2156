package ratelimit

import (
	"context"
	_ "embed"
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

// redisMargin is how long a bucket is kept after it is full.
const redisMargin = 100 * time.Millisecond

//go:embed take.lua
var takeSource string

// redisStore keeps buckets in one Redis, on that Redis' clock, so that all
// instances share them.
type redisStore struct {
	client *redis.Client
	script *redis.Script
	margin time.Duration
	clock  func() int64 // nil but in tests: Redis' own
}

// newRedisStore returns a store on the Redis at rawURL (redis://, rediss:// or
// unix://); its calls end after timeout. It does not connect. Errors are
// malformed URLs; they do not repeat the URL, which may hold a password.
func newRedisStore(rawURL string, timeout time.Duration) (*redisStore, error) {
	// The guard and onStoreFailure are the answer to a failure.
	options, err := redisclient.Options(rawURL, timeout)
	if err != nil {
		return nil, err
	}
	if options.PoolSize == 0 {
		// A connection carries some thousand calls a second; Redis' one thread
		// is the end of it long before 64.
		options.PoolSize = min(10*runtime.GOMAXPROCS(0), 64)
	}
	options.MinIdleConns = min(max(options.MinIdleConns, 2), options.PoolSize)
	options.ReadBufferSize, options.WriteBufferSize = 4096, 4096 // a call is some hundred bytes
	return &redisStore{
		client: redis.NewClient(options),
		script: redis.NewScript(takeSource),
		margin: redisMargin,
	}, nil
}

// take implements store by one call of the script.
func (r *redisStore) take(ctx context.Context, items []item) ([]Result, error) {
	keys := make([]string, len(items))
	args := make([]any, 0, 2+5*len(items))
	args = append(args, r.time(), r.margin.Milliseconds())
	for i, it := range items {
		keys[i] = redisPrefix + it.key
		args = append(args, it.Bucket.capacity, it.Bucket.unit, it.Bucket.rate, max(it.Cost, 0), it.keep)
	}
	inline.Blocks(ctx)
	reply, err := r.script.Run(ctx, r.client, keys, args...).Int64Slice()
	if err != nil {
		return nil, fmt.Errorf("taking from Redis: %w", err)
	}
	return results(items, reply)
}

// time is the script's clock argument: none, but in tests.
func (r *redisStore) time() string {
	if r.clock == nil {
		return ""
	}
	return strconv.FormatInt(r.clock(), 10)
}

// results reads the script's reply. A reply that the script cannot have given
// is an error: whatever answers there is not our Redis.
func results(items []item, reply []int64) ([]Result, error) {
	if len(reply) != 2+2*len(items) {
		return nil, fmt.Errorf("taking from Redis: %d numbers in the reply, want %d", len(reply), 2+2*len(items))
	}
	charged, now := reply[0] == 1, reply[1]
	results := make([]Result, len(items))
	for i, it := range items {
		current := State{Level: reply[2+2*i], Unit: it.Bucket.unit, Last: reply[3+2*i]}
		if current.Level < 0 || current.Level > it.Bucket.full() || current.Last < now {
			return nil, fmt.Errorf("taking from Redis: level %d at %d in the reply, out of bounds", current.Level, current.Last)
		}
		allowed := charged || it.Bucket.holds(current, it.Cost)
		results[i] = it.Bucket.result(current, allowed, it.Cost, now)
	}
	return results, nil
}

// ping is one real charge, of a bucket that nobody else uses: a Redis that
// answers PING may still refuse scripts and writes.
func (r *redisStore) ping(ctx context.Context) error {
	bucket := Bucket{capacity: 1000, unit: 1, rate: 1}
	_, err := r.take(ctx, []item{{key: "#ping", Demand: Demand{Bucket: bucket, Cost: 1}}})
	return err
}

func (r *redisStore) close() error { return r.client.Close() }
