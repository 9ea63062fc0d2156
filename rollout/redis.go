package rollout

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/redisclient"
)

const (
	// redisPrefix begins every key: ours, and the version of the keys' format.
	redisPrefix = "gw:ro:1:"
	// leaseFor is how long another instance waits before it decides in place of one
	// that is gone.
	leaseFor = 3 * time.Second
	// keptFor is how long a rollout is known that no instance has any more. A config
	// that has it again later begins anew.
	keptFor = 10 * time.Minute
	// redisTimeout ends a call. No request waits for one.
	redisTimeout = time.Second
)

//go:embed exchange.lua
var exchangeSource string

//go:embed commit.lua
var commitSource string

// shared is the store of a fleet: one Redis, and its clock.
type shared struct {
	client              redis.UniversalClient
	reporting, swapping *redis.Script
	id                  string
}

// openShared returns a store on the Redis at rawURL, and does not connect. The id
// tells this instance from all others.
func openShared(rawURL string, files redisclient.Files, id string) (*shared, error) {
	client, err := redisclient.Client(rawURL, files, redisclient.Needs{Timeout: redisTimeout, PoolSize: 2, Idle: 1})
	if err != nil {
		return nil, err
	}
	return &shared{client: client, reporting: redis.NewScript(exchangeSource), swapping: redis.NewScript(commitSource), id: id}, nil
}

func (s *shared) close() error { return s.client.Close() }

// keys are those of a route, on one node of a cluster.
func keys(route string) []string {
	base := redisPrefix + "{" + route + "}:"
	return []string{base + "record", base + "seen", base + "decides"}
}

func (s *shared) exchange(ctx context.Context, all []report) ([]view, error) {
	replies, err := s.run(ctx, s.reporting, len(all), func(i int) ([]string, []any) {
		r := all[i]
		args := []any{s.id, leaseFor.Milliseconds(), keptFor.Milliseconds(), r.known, flag(!r.unable), flag(r.curious)}
		eachCount(&r.seen, func(name string, n uint64) { args = append(args, name, n) })
		return keys(r.route), args
	})
	if err != nil {
		return nil, fmt.Errorf("reporting to Redis: %w", err)
	}
	out := make([]view, len(all))
	for i, reply := range replies {
		if out[i], err = readView(reply); err != nil {
			return nil, fmt.Errorf("reading where rollout %s is: %w", all[i].route, err)
		}
	}
	return out, nil
}

func (s *shared) commit(ctx context.Context, all []change) ([]bool, error) {
	texts := make([][]byte, len(all))
	for i, ch := range all {
		var err error
		if texts[i], err = json.Marshal(ch.next); err != nil {
			return nil, fmt.Errorf("writing rollout %s: %w", ch.route, err)
		}
	}
	replies, err := s.run(ctx, s.swapping, len(all), func(i int) ([]string, []any) {
		return keys(all[i].route)[:1], []any{all[i].of, all[i].next.Generation, texts[i], keptFor.Milliseconds()}
	})
	if err != nil {
		return nil, fmt.Errorf("writing rollouts to Redis: %w", err)
	}
	out := make([]bool, len(all))
	for i, reply := range replies {
		out[i] = reply == int64(1)
	}
	return out, nil
}

// run calls a script n times, in one round trip: in two where a server does not know
// it, after a restart.
func (s *shared) run(ctx context.Context, script *redis.Script, n int, call func(i int) ([]string, []any)) ([]any, error) {
	if n == 0 {
		return nil, nil
	}
	send := func(eval func(redis.Pipeliner, []string, []any) *redis.Cmd, which []int, replies []any) (unknown []int, err error) {
		cmds := make([]*redis.Cmd, len(which))
		_, _ = s.client.Pipelined(ctx, func(p redis.Pipeliner) error { // each command has its error
			for k, i := range which {
				names, args := call(i)
				cmds[k] = eval(p, names, args)
			}
			return nil
		})
		for k, i := range which {
			reply, err := cmds[k].Result()
			switch {
			case redis.HasErrorPrefix(err, "NOSCRIPT"):
				unknown = append(unknown, i)
			case err != nil:
				return nil, err
			}
			replies[i] = reply
		}
		return unknown, nil
	}
	all, replies := make([]int, n), make([]any, n)
	for i := range all {
		all[i] = i
	}
	unknown, err := send(func(p redis.Pipeliner, names []string, args []any) *redis.Cmd {
		return script.EvalSha(ctx, p, names, args...)
	}, all, replies)
	if err == nil && len(unknown) > 0 {
		_, err = send(func(p redis.Pipeliner, names []string, args []any) *redis.Cmd {
			return script.Eval(ctx, p, names, args...)
		}, unknown, replies)
	}
	return replies, err
}

var errReply = errors.New("a reply of another form than the script's")

// readView reads a reply of exchange.lua.
func readView(reply any) (v view, err error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 5 {
		return v, errReply
	}
	us, err := number(parts[0])
	if err != nil {
		return v, err
	}
	v.now, v.decides = time.UnixMicro(us).UTC(), parts[1] == int64(1)
	if v.generation, err = number(parts[2]); err != nil {
		return v, err
	}
	if text, _ := parts[3].(string); text != "" {
		v.record = &record{}
		if err := json.Unmarshal([]byte(text), v.record); err != nil {
			return v, err
		}
		// The number beside the record is what decides.
		v.record.Generation = v.generation
	}
	counts, ok := parts[4].([]any)
	if !ok {
		return v, errReply
	}
	for i := 0; i+1 < len(counts); i += 2 {
		name, _ := counts[i].(string)
		n, err := number(counts[i+1])
		if err != nil || n < 0 {
			return v, errReply
		}
		if count := countOf(&v.total, name); count != nil {
			*count = uint64(n)
		}
	}
	return v, nil
}

func number(v any) (int64, error) {
	text, ok := v.(string)
	if !ok {
		return 0, errReply
	}
	return strconv.ParseInt(text, 10, 64)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// eachCount calls do with the name and value of each count that is not 0.
func eachCount(s *Sides, do func(name string, n uint64)) {
	for prefix, c := range map[string]*Counts{"c": &s.Canary, "s": &s.Stable} {
		for name, n := range map[string]uint64{":n": c.Requests, ":f": c.Failed, ":s": c.Slow} {
			if n > 0 {
				do(prefix+name, n)
			}
		}
		for i, n := range c.Latency {
			if n > 0 {
				do(prefix+":"+strconv.Itoa(i), n)
			}
		}
	}
}

// countOf is the count of a name; nil where there is none.
func countOf(s *Sides, name string) *uint64 {
	prefix, rest, _ := strings.Cut(name, ":")
	c := &s.Canary
	switch prefix {
	case "c":
	case "s":
		c = &s.Stable
	default:
		return nil
	}
	switch rest {
	case "n":
		return &c.Requests
	case "f":
		return &c.Failed
	case "s":
		return &c.Slow
	}
	if i, err := strconv.Atoi(rest); err == nil && i >= 0 && i < buckets {
		return &c.Latency[i]
	}
	return nil
}
