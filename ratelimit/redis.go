package ratelimit

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/redisclient"
)

// redisPrefix begins every key: ours, and the version of the keys' format.
const redisPrefix = "gw:rl:3:"

// redisStore keeps buckets in Redis, on that Redis' clock, so that all instances
// share them.
type redisStore struct {
	client  redis.UniversalClient
	cluster *redis.ClusterClient // client, where it is a cluster; else nil
	script  *redis.Script
	leases  *redis.Script
	clock   func() int64 // nil but in tests: Redis' own
}

// newRedisStore returns a store on the Redis at rawURL (see redisclient.Client),
// whose calls end after timeout. It does not connect. Errors are malformed URLs
// and unusable files; they do not repeat the URL, which may hold a password.
func newRedisStore(rawURL string, files redisclient.Files, timeout time.Duration) (*redisStore, error) {
	client, err := redisclient.Client(rawURL, files, redisclient.Needs{
		Timeout: timeout,
		// A lane has one call under way. More connections are for what was given
		// up, and for what does not go by lanes.
		PoolSize: min(10*runtime.GOMAXPROCS(0), 64),
		Idle:     2,
	})
	if err != nil {
		return nil, err
	}
	cluster, _ := client.(*redis.ClusterClient)
	return &redisStore{
		client: client, cluster: cluster,
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

// run answers several calls, in their order. An error is that of all: each may
// have been done or not.
func (r *redisStore) run(ctx context.Context, calls []call) ([][]Result, error) {
	replies := r.exchange(ctx, r.client, calls)
	if err := firstError(replies); err != nil {
		return nil, err
	}
	results := make([][]Result, len(replies))
	for i := range replies {
		results[i] = replies[i].results
	}
	return results, nil
}

// exchange answers calls in one round trip to a server: by one call of the
// script, or in a cluster by one for each slot, in a row. What the server cannot
// do (it does not know the script, it has not the slot any more) is done in a
// second one, by whoever can; what no server can (a slot is being moved, and has
// some of its keys here and some there) is done key by key.
func (r *redisStore) exchange(ctx context.Context, to redis.UniversalClient, calls []call) []replied {
	replies := make([]replied, len(calls))
	groups := r.groups(calls)
	send(ctx, to, groups, func(g *group) redis.Cmder { return g.command(ctx, "evalsha", r.script.Hash(), r.time(), r.around()) })
	again, severed := groups[:0:0], groups[:0:0]
	for _, g := range groups {
		switch err := g.sent.Err(); {
		case isSevered(err) && !redis.HasErrorPrefix(err, "MOVED") && several(g.calls):
			severed = append(severed, g)
		case redisclient.Elsewhere(ctx, r.cluster, err):
			again = append(again, g)
		default:
			g.answer(replies)
		}
	}
	if len(again) > 0 {
		send(ctx, r.client, again, func(g *group) redis.Cmder {
			return g.command(ctx, "eval", commonSource+takeSource, r.time(), r.around())
		})
	}
	for _, g := range again {
		if isSevered(g.sent.Err()) && several(g.calls) {
			severed = append(severed, g)
		} else {
			g.answer(replies)
		}
	}
	for _, g := range severed {
		for i, reply := range r.apart(ctx, g.calls) {
			replies[g.place(i)] = reply
		}
	}
	return replies
}

// group is calls that one call of the script answers.
type group struct {
	calls []call
	at    []int // where they are among all
	slot  uint16
	sent  *redis.IntSliceCmd
}

// groups is all calls together, or by their slots in a cluster. The keys of one
// call are in one slot there; see shared.
func (r *redisStore) groups(calls []call) []*group {
	if r.cluster == nil || len(calls) == 1 {
		return []*group{{calls: calls}}
	}
	var all []*group
	bySlot := make(map[uint16]*group, len(calls))
	for i, c := range calls {
		slot := c.slot()
		g := bySlot[slot]
		if g == nil {
			g = &group{slot: slot}
			bySlot[slot] = g
			all = append(all, g)
		}
		g.calls, g.at = append(g.calls, c), append(g.at, i)
	}
	return all
}

// slot is that of the first key of c.
func (c call) slot() uint16 {
	if len(c.items) == 0 {
		return 0
	}
	return hashSlot(c.items[0].key)
}

// command is the call of the script.
func (g *group) command(ctx context.Context, name, script, clock string, now int64) *redis.IntSliceCmd {
	keys, text := encode(now, g.calls)
	args := make([]any, 0, 5+len(keys))
	args = append(args, name, script, len(keys))
	for i := range keys {
		args = append(args, &keys[i]) // a pointer goes into an interface as it is
	}
	g.sent = redis.NewIntSliceCmd(ctx, append(args, clock, text)...)
	return g.sent
}

// send sends a command for each group, together.
func send(ctx context.Context, to redis.UniversalClient, groups []*group, command func(*group) redis.Cmder) {
	if len(groups) == 1 {
		_ = to.Process(ctx, command(groups[0])) // the command has the error
		return
	}
	pipe := to.Pipeline()
	for _, g := range groups {
		_ = pipe.Process(ctx, command(g)) // queues it
	}
	_, _ = pipe.Exec(ctx) // each command has its error
}

// answer reads the replies to the group's calls.
func (g *group) answer(replies []replied) {
	reply, err := g.sent.Result()
	var results [][]Result
	if err == nil {
		results, err = decode(g.calls, reply)
	}
	for i := range g.calls {
		at := g.place(i)
		if err != nil {
			replies[at].err = fmt.Errorf("taking from Redis: %w", err)
			continue
		}
		replies[at].results = results[i]
	}
}

// place is where the i-th call of the group is among all.
func (g *group) place(i int) int {
	if g.at == nil {
		return i
	}
	return g.at[i]
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

// ping is one real charge, of a bucket that nobody else uses, in the slot of a
// key: a Redis that answers PING may still refuse scripts and writes.
func (r *redisStore) ping(ctx context.Context, tag string) error {
	bucket := Bucket{capacity: 1000, unit: 1, rate: 1}
	_, err := r.take(ctx, []item{{key: tag + ":#ping", Demand: Demand{Definition: bucket, Cost: 1}}})
	return err
}

func (r *redisStore) close() error { return r.client.Close() }
