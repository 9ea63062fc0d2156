package ratelimit

import (
	"context"
	_ "embed"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

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
	if isSevered(err) && len(asked) > 1 {
		return r.leaseApart(ctx, instance, asked)
	}
	if err != nil {
		return nil, fmt.Errorf("leasing from Redis: %w", err)
	}
	return decodeLeases(asked, reply)
}

// leaseApart is lease key by key: see apart. What fails may have been done, and is
// asked for again.
func (r *redisStore) leaseApart(ctx context.Context, instance string, asked []renewal) ([]renewed, error) {
	got := make([]renewed, 0, len(asked))
	for i := range asked {
		one, err := r.lease(ctx, instance, asked[i:i+1])
		if err != nil {
			return nil, err
		}
		got = append(got, one...)
	}
	return got, nil
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

// lease implements leaser. In a cluster each slot is asked apart, and the servers
// at the same time. An error is that of all.
func (s *shared) lease(ctx context.Context, instance string, asked []renewal) ([]renewed, error) {
	if s.redis.cluster == nil {
		return s.leaseBy(ctx, s.only, instance, asked)
	}
	type trip struct {
		lane *lane
		at   map[uint16][]int // by slot
	}
	var trips []*trip
	for i, a := range asked {
		l := s.laneOf(a.key)
		j := slices.IndexFunc(trips, func(t *trip) bool { return t.lane == l })
		if j < 0 {
			j = len(trips)
			trips = append(trips, &trip{l, map[uint16][]int{}})
		}
		slot := hashSlot(a.key)
		trips[j].at[slot] = append(trips[j].at[slot], i)
	}
	got := make([]renewed, len(asked))
	var all errgroup.Group
	for _, t := range trips {
		all.Go(func() error {
			for _, places := range t.at {
				part := make([]renewal, len(places))
				for i, at := range places {
					part[i] = asked[at]
				}
				of, err := s.leaseBy(ctx, t.lane, instance, part)
				if err != nil {
					return err
				}
				for i, at := range places {
					got[at] = of[i]
				}
			}
			return nil
		})
	}
	return got, all.Wait()
}

// leaseBy leases from one server.
func (s *shared) leaseBy(ctx context.Context, l *lane, instance string, asked []renewal) (got []renewed, err error) {
	err = l.alone(ctx, func(ctx context.Context) error {
		got, err = s.redis.lease(ctx, instance, asked)
		return err
	})
	return got, err
}
