package ratelimit

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/gatewright/gatewright/internal/inline"
)

//go:embed lease.lua
var leaseSource string

// lease implements leaser by one call of lease.lua.
func (r *redisStore) lease(ctx context.Context, instance string, asked []renewal) ([]renewed, error) {
	keys, args := make([]string, len(asked)), make([]any, 0, 3+8*len(asked))
	args = append(args, r.time(), instance, leaseTTL.Microseconds())
	for i, a := range asked {
		keys[i] = redisPrefix + a.key
		args = append(args, a.bucket.capacity, a.bucket.unit, a.bucket.rate, a.keep, a.number, a.held, a.back, a.want)
	}
	inline.Blocks(ctx)
	reply, err := r.leases.Run(ctx, r.client, keys, args...).Int64Slice()
	if err != nil {
		return nil, fmt.Errorf("leasing from Redis: %w", err)
	}
	return decodeLeases(asked, reply)
}

// decodeLeases reads the script's reply. One that the script cannot have given is
// an error: whatever answers there is not our Redis.
func decodeLeases(asked []renewal, reply []int64) ([]renewed, error) {
	if len(reply) != 1+2*len(asked) {
		return nil, fmt.Errorf("leasing from Redis: %d numbers in the reply, want %d", len(reply), 1+2*len(asked))
	}
	got := make([]renewed, len(asked))
	for i, a := range asked {
		got[i] = renewed{amount: reply[1+2*i], remaining: reply[2+2*i]}
		if n := got[i]; n.amount < -1 || n.amount > a.held+a.want || n.remaining < 0 || n.remaining > a.bucket.capacity {
			return nil, fmt.Errorf("leasing from Redis: %d out and %d left in the reply, which no lease says", n.amount, n.remaining)
		}
	}
	return got, nil
}

// lease implements leaser.
func (g *guard) lease(ctx context.Context, instance string, asked []renewal) (got []renewed, err error) {
	err = g.ask(ctx, func(ctx context.Context) error {
		got, err = g.store.lease(ctx, instance, asked)
		return err
	})
	return got, err
}
