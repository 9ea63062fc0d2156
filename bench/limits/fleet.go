package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/ratelimit"
)

// The fleet, and the limits that it is held to: one bucket that all instances are
// asked for at once, as fast as they answer.
const (
	fleetSize     = 4
	fleetCapacity = 100
	fleetRefill   = 1000 // a second
	fleetStreams  = 16   // calls at once, to each instance
	syncEvery     = 0.1  // seconds: S of the bound in ratelimit/README.md
)

// fleetColumns: admitted is what all instances have let through together.
const fleetColumns = "\n| what | instances | seconds | asked | admitted | bound | goal | met |\n|---|---|---|---|---|---|---|---|\n"

// inFleet is the part of the report on what instances admit together.
func (b *bench) inFleet(ctx context.Context) (string, error) {
	if b.fleet == 0 {
		return "", nil
	}
	var instances []*rig.Server
	for range fleetSize {
		s, err := b.serve(ctx, b.onRedis(), redisTimeout)
		if err != nil {
			return "", err
		}
		instances = append(instances, s)
	}
	out := fleetColumns
	for _, c := range consistencies {
		b.say("%d instances under load, %s", fleetSize, c)
		row, err := b.fleetOf(instances, c)
		if err != nil {
			return "", fmt.Errorf("a fleet, %s: %w", c, err)
		}
		out += row
	}
	for _, s := range instances {
		if err := targetOf(s).countsInRedis(ctx); err != nil {
			return "", err
		}
	}
	return out, nil
}

// fleetOf loads all instances for as long as is asked.
func (b *bench) fleetOf(instances []*rig.Server, c config.Consistency) (string, error) {
	messages, err := requests(ratelimit.Domain, 1, 1, func(int, int) []*commonv3.RateLimitDescriptor_Entry {
		return []*commonv3.RateLimitDescriptor_Entry{entry("limit", "fleet-"+string(c)), entry("user", "all")}
	})
	if err != nil {
		return "", err
	}
	counts := make([]verdicts, len(instances))
	faults := make([]error, len(instances))
	began := time.Now()
	end := began.Add(b.fleet)
	var all sync.WaitGroup
	for i, s := range instances {
		all.Go(func() {
			conn, err := rig.Dial(s.GRPC, rlsv3.RateLimitService_ShouldRateLimit_FullMethodName, counts[i].count)
			if err == nil {
				_, err = conn.Load(fleetStreams, func() []byte { return messages[0] }, func(int) bool { return time.Now().Before(end) })
			}
			faults[i] = err
		})
	}
	all.Wait()
	took := time.Since(began).Seconds()
	if err := errors.Join(faults...); err != nil {
		return "", err
	}
	var sum verdicts
	for _, v := range counts {
		sum.admitted += v.admitted
		sum.denied += v.denied
	}
	// T is what has passed here: longer than it was between what Redis has seen.
	bound, goal := fleetCapacity+fleetRefill*took, "C + R·T"
	if c == config.Sync {
		goal = "C + R·T + (N−1)·min(C, a·S)"
		arrival := float64(sum.admitted+sum.denied) / took / float64(len(instances))
		bound += float64(len(instances)-1) * min(fleetCapacity, arrival*syncEvery)
	}
	return fmt.Sprintf("| one bucket of %d, refilled with %d/s, %s | %d | %.1f | %d | %d | %.0f | %s | %s |\n", fleetCapacity, fleetRefill, c,
		len(instances), took, sum.admitted+sum.denied, sum.admitted, bound, goal, rig.Yes(float64(sum.admitted) <= bound)), nil
}

// verdicts are the replies to RateLimitRequests that were counted.
type verdicts struct{ admitted, denied int64 }

func (v *verdicts) count(reply []byte) error {
	switch {
	case bytes.HasPrefix(reply, []byte{0x08, byte(rlsv3.RateLimitResponse_OK)}):
		v.admitted++
	case bytes.HasPrefix(reply, []byte{0x08, byte(rlsv3.RateLimitResponse_OVER_LIMIT)}):
		v.denied++
	default:
		return fmt.Errorf("a reply that says nothing: %q", reply)
	}
	return nil
}

// fleetLimits are those of the config.
func fleetLimits() string {
	var out strings.Builder
	for _, c := range consistencies {
		fmt.Fprintf(&out, "  fleet-%s: {key: [user], tokenBucket: {capacity: %d, refill: %d/s}, consistency: %s}\n", c, fleetCapacity, fleetRefill, c)
	}
	return out.String()
}
