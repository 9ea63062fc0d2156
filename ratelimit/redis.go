package ratelimit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// redisPrefix begins every key: the version of the value's format, and a
// constant hash tag. The tag puts all buckets into one slot of a Redis Cluster:
// the buckets of one request are charged together or not at all, and one script
// can only do that within a slot. Spreading the load over slots would need a
// tag that all limits of a request share, which their keys do not have.
const redisPrefix = "gw:rl:1:{all}:"

// redisMargin is how long a bucket is kept after it is full.
const redisMargin = 100 * time.Millisecond

// leastDialTimeout bounds a dial from below. go-redis dials in the background
// and keeps the connection if the request that wanted it has gone on, so a TLS
// handshake may take longer than a request waits.
const leastDialTimeout = time.Second

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
	options, err := redisOptions(rawURL)
	if err != nil {
		return nil, err
	}
	options.MaxRetries = -1 // none: the guard and onStoreFailure are the answer to a failure
	options.DialerRetries = 1
	options.DialTimeout = max(timeout, leastDialTimeout)
	options.ReadTimeout, options.WriteTimeout = timeout, timeout
	options.PoolTimeout = timeout
	options.ContextTimeoutEnabled = true
	if options.PoolSize == 0 {
		// A connection carries some thousand calls a second; Redis' one thread
		// is the end of it long before 64.
		options.PoolSize = min(10*runtime.GOMAXPROCS(0), 64)
	}
	options.MinIdleConns = min(max(options.MinIdleConns, 2), options.PoolSize)
	options.ReadBufferSize, options.WriteBufferSize = 4096, 4096 // a call is some hundred bytes
	options.PipelinePoolSize = -1
	options.Protocol = 2 // nothing here needs RESP3's pushes
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.DisableIdentity = true
	return &redisStore{
		client: redis.NewClient(options),
		script: redis.NewScript(takeSource),
		margin: redisMargin,
	}, nil
}

// redisOptions parses the URL of one Redis.
func redisOptions(rawURL string) (*redis.Options, error) {
	if strings.Count(rawURL, "://") > 1 {
		return nil, errors.New("several URLs: not yet supported: Redis Cluster and Sentinel")
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("malformed URL: %w", withoutURL(err))
	case strings.Contains(u.Host, ","):
		return nil, errors.New("several hosts: not yet supported: Redis Cluster and Sentinel")
	case u.Opaque != "" || u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return nil, errors.New("malformed URL: must begin with redis://, rediss:// or unix://")
	}
	options, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("malformed URL: %w", withoutURL(err))
	}
	return options, nil
}

// withoutURL is the cause of a url.Error, which quotes the whole URL.
func withoutURL(err error) error {
	var quoted *url.Error
	if errors.As(err, &quoted) {
		return quoted.Err
	}
	return err
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
