package breakerpolicy

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/redisclient"
)

const (
	// redisPrefix begins every key: ours, and the version of the values' format.
	redisPrefix = "gw:br:1:"
	// mostTogether is how many breakers a call of the script answers: at some 30 µs
	// each, others that use this Redis wait for less than a millisecond.
	mostTogether = 25
)

//go:embed breaker.lua
var source string

// redisStore keeps machines in Redis, on that Redis' clock, so that all instances
// share them.
type redisStore struct {
	client  redis.UniversalClient
	cluster *redis.ClusterClient // client, where it is a cluster; else nil
	script  *redis.Script
	clock   func() int64 // nil but in tests: Redis' own
}

func newRedisStore(client redis.UniversalClient) *redisStore {
	cluster, _ := client.(*redis.ClusterClient)
	return &redisStore{client: client, cluster: cluster, script: redis.NewScript(source)}
}

// exchange implements store by one round trip to each server: one call of the
// script for every mostTogether breakers, and in a cluster, where each has a slot of
// its own, one for each. What a server cannot do (it does not know the script, it
// has not the slot any more) is done in a second round, by whoever can.
func (r *redisStore) exchange(ctx context.Context, by string, asked []ask) []answer {
	answers := make([]answer, len(asked))
	groups := r.groups(asked)
	r.send(ctx, groups, func(g *group) { g.command(ctx, "evalsha", r.script.Hash(), r.time(), by) })
	var again []*group
	for _, g := range groups {
		if redisclient.Elsewhere(ctx, r.cluster, g.sent.Err()) {
			again = append(again, g)
		}
	}
	if len(again) > 0 {
		r.send(ctx, again, func(g *group) { g.command(ctx, "eval", source, r.time(), by) })
	}
	for _, g := range groups {
		g.read(answers[g.at : g.at+len(g.asked)])
	}
	return answers
}

// group is what one call of the script answers.
type group struct {
	at    int // where it begins among all
	asked []ask
	sent  *redis.StringSliceCmd
}

func (r *redisStore) groups(asked []ask) []*group {
	size := mostTogether
	if r.cluster != nil {
		size = 1
	}
	var groups []*group
	for at := 0; at < len(asked); at += size {
		groups = append(groups, &group{at: at, asked: asked[at:min(at+size, len(asked))]})
	}
	return groups
}

// send sends a command for each group, together.
func (r *redisStore) send(ctx context.Context, groups []*group, command func(*group)) {
	pipe := r.client.Pipeline()
	for _, g := range groups {
		command(g)
		_ = pipe.Process(ctx, g.sent) // queues it
	}
	_, _ = pipe.Exec(ctx) // each command has its error
}

// command makes the call of the script.
func (g *group) command(ctx context.Context, name, script, clock, by string) {
	args := make([]any, 0, 5+2*len(g.asked))
	args = append(args, name, script, len(g.asked))
	for _, a := range g.asked {
		args = append(args, redisKey(a.name))
	}
	args = append(args, clock, by)
	for _, a := range g.asked {
		text, _ := json.Marshal(a.report) // numbers and strings alone: all of it has a form in JSON
		args = append(args, text)
	}
	g.sent = redis.NewStringSliceCmd(ctx, args...)
	g.sent.SetFirstKeyPos(3)
}

// redisKey is where a breaker is. The braces have a cluster choose its slot by the
// name; config allows none in it.
func redisKey(name string) string { return redisPrefix + "{" + name + "}" }

// read reads the replies to a group.
func (g *group) read(into []answer) {
	texts, err := g.sent.Result()
	if err == nil && len(texts) != len(into) {
		err = fmt.Errorf("%d replies, want %d", len(texts), len(into))
	}
	for i := range into {
		fault := err
		if fault == nil {
			fault = into[i].reply.read(texts[i])
		}
		if fault != nil {
			into[i] = answer{err: fmt.Errorf("reporting to Redis: %w", fault)}
		}
	}
}

var errForeign = errors.New("a reply that the script cannot have given: whatever answers there is not our Redis")

// read reads a reply, and refuses one that no machine gives.
func (a *reply) read(text string) error {
	if err := json.Unmarshal([]byte(text), a); err != nil {
		return err
	}
	switch a.State {
	case StateClosed, StateOpen, StateHalfOpen:
	default:
		return errForeign
	}
	if a.Gen < 0 || a.In < 0 || a.Age < 0 || a.ProbeIn < 0 {
		return errForeign
	}
	return nil
}

// time is the script's clock argument: none, but in tests.
func (r *redisStore) time() string {
	if r.clock == nil {
		return ""
	}
	return strconv.FormatInt(r.clock(), 10)
}

func (r *redisStore) close() error { return r.client.Close() }
