package main

import (
	"context"
	"fmt"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/ratelimit"
)

// victims are clients that have used up their limit before others come, each once,
// with as many keys.
const victims = 50

// manyLimit is what they are all counted by: a bucket of 3 that is empty for longer
// than the flood takes.
const manyLimit = "  many: {key: [user], tokenBucket: {capacity: 3, refill: 1/h}}\n"

const manyCapacity = 3

// The memory that a key may take, in bytes: what ratelimit/README.md says.
const (
	mostInRedis   = 200
	mostInProcess = 500
)

// manyKeys is the part of the report on memory.
func (b *bench) manyKeys(ctx context.Context) (string, error) {
	if b.many == 0 {
		return "", nil
	}
	out := "\n| what | bytes a key, in Redis | resident before | after: bytes a key | drained clients still denied | goal | met |\n|---|---|---|---|---|---|---|\n"
	for _, settings := range [][]string{{b.onRedis(), redisTimeout}, nil} {
		row, err := b.manyOn(ctx, settings)
		if err != nil {
			return "", fmt.Errorf("%d keys: %w", b.many, err)
		}
		out += row
	}
	return out, nil
}

// manyOn is a row on a server of its own, with settings.
func (b *bench) manyOn(ctx context.Context, settings []string) (string, error) {
	where := "in memory"
	if settings != nil {
		where = "in Redis"
	}
	b.say("%d distinct keys, %s", b.many, where)
	s, err := b.serve(ctx, settings...)
	if err != nil {
		return "", err
	}
	ask := func(name string, users, times int) (verdicts, error) {
		var v verdicts
		conn, err := rig.Dial(s.GRPC, rlsv3.RateLimitService_ShouldRateLimit_FullMethodName, v.count)
		if err != nil {
			return v, err
		}
		user := 0
		var fault error
		_, err = conn.Load(b.streams, func() []byte {
			message, err := manyRequest(fmt.Sprint(name, user%users))
			user++
			if err != nil {
				fault = err
			}
			return message
		}, func(calls int) bool { return calls < users*times })
		if err == nil {
			err = fault
		}
		return v, err
	}
	if _, err := ask("victim-", victims, manyCapacity); err != nil {
		return "", err
	}
	before, err := b.held(ctx, s)
	if err != nil {
		return "", err
	}
	flood, err := ask("user-", b.many, 1)
	if err != nil {
		return "", err
	}
	if flood.denied > 0 {
		return "", fmt.Errorf("%d clients were denied their first request", flood.denied)
	}
	after, err := b.held(ctx, s)
	if err != nil {
		return "", err
	}
	again, err := ask("victim-", victims, 1)
	if err != nil {
		return "", err
	}
	of := func(before, after int64) int64 { return (after - before) / int64(b.many) }
	inRedis, inProcess := of(before.redis, after.redis), of(before.process, after.process)
	mostOfProcess, redisCell := int64(mostInProcess), "–"
	if settings != nil {
		mostOfProcess, redisCell = mostInProcess/5, fmt.Sprint(inRedis) // it keeps none of them
	}
	met := again.denied == victims && inRedis <= mostInRedis && (inProcess <= mostOfProcess || after.process-before.process < smallest)
	return fmt.Sprintf("| %d distinct keys, %s | %s | %d MiB | %d MiB: %d | %d of %d | all denied; ≤ %d in Redis, ≤ %d in the process | %s |\n", b.many, where,
		redisCell, before.process>>20, after.process>>20, inProcess, again.denied, victims, mostInRedis, mostOfProcess, rig.Yes(met)), nil
}

// smallest is what a process may grow by whatever it holds: the room that the
// garbage collector leaves.
const smallest = 256 << 20

// held is what is held in memory, in bytes.
type held struct{ redis, process int64 }

func (b *bench) held(ctx context.Context, s *rig.Server) (h held, err error) {
	if h.redis, err = b.redis.Memory(ctx); err != nil {
		return h, err
	}
	h.process, err = s.Resident()
	return h, err
}

func manyRequest(user string) ([]byte, error) {
	all, err := requests(ratelimit.Domain, 1, 1, func(int, int) []*commonv3.RateLimitDescriptor_Entry {
		return []*commonv3.RateLimitDescriptor_Entry{entry("limit", "many"), entry("user", user)}
	})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}
