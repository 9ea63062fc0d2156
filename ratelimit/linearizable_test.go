package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/gatewright/gatewright/internal/redisclient"
	"github.com/gatewright/gatewright/internal/testenv"
)

// asked is a call at a time of the caller's clock.
type asked struct {
	now  int64
	call call
}

// buckets is what a history of calls has made of two of them.
var buckets = porcupine.Model{
	Init: func() any { return [2]State{} },
	Step: func(state, input, output any) (bool, any) {
		states, in := state.([2]State), input.(asked)
		var before []State
		var demands []Demand
		for _, it := range in.call.items {
			before, demands = append(before, states[indexOf(it)]), append(demands, it.Demand)
		}
		next, results, changed := in.call.op.do(before, demands, in.now)
		if !reflect.DeepEqual(results, output) {
			return false, nil
		}
		for i, it := range in.call.items {
			if changed && it.Cost > 0 {
				states[indexOf(it)] = next[i]
			}
		}
		return true, states
	},
	Equal: func(a, b any) bool { return reflect.DeepEqual(a, b) },
	DescribeOperation: func(input, output any) string {
		in := input.(asked)
		return fmt.Sprintf("%s of %v at %d: %v", in.call.op, in.call.items, in.now, output)
	},
}

// indexOf is which of the two buckets an item is of: their keys are their numbers.
func indexOf(it item) int { return int(it.key[0] - '0') }

// What concurrent calls of several instances on one Redis are answered is what the
// arithmetic in Go says of them one after the other, in some order in which none
// comes before one that had ended when it began: to the microsecond, whoever's
// clock is behind.
func TestConcurrentTakesAreLinearizable(t *testing.T) {
	server := testenv.StartRedis(t)
	const clients, each = 5, 40
	definitions := []Bucket{bucketOf(t, 20, 7, time.Second), bucketOf(t, 9, 3, time.Millisecond)}
	var (
		mu      sync.Mutex
		history []porcupine.Operation
		all     sync.WaitGroup
	)
	began := time.Now()
	for client := range clients {
		store, err := newRedisStore(server.URL(), redisclient.Files{}, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.close() })
		random := rand.New(rand.NewPCG(uint64(client), 6))
		var now int64
		store.clock = func() int64 { return now }
		all.Go(func() {
			for range each {
				in := asked{now: 1e12 + time.Since(began).Microseconds() + random.Int64N(2000), call: someCall(random, definitions)}
				now = in.now
				from := time.Since(began)
				results, err := store.run(context.Background(), []call{in.call})
				to := time.Since(began)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client, Input: in, Call: int64(from), Output: results[0], Return: int64(to)})
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if verdict := porcupine.CheckOperationsTimeout(buckets, history, time.Minute); verdict != porcupine.Ok {
		t.Errorf("%d calls: %s", len(history), verdict)
	}
	// The same history, with one answer that no order explains.
	last := slices.Clone(history[len(history)-1].Output.([]Result))
	last[0].Remaining += 100
	history[len(history)-1].Output = last
	if porcupine.CheckOperations(buckets, history) {
		t.Error("an answer that nobody can have been given was taken")
	}
}

// someCall takes from one bucket or from both, or forces, or gives back.
func someCall(random *rand.Rand, definitions []Bucket) call {
	c := call{op: []op{opTake, opTake, opTake, opForce, opRefund}[random.IntN(5)]}
	both := random.IntN(3) == 0
	first := random.IntN(2)
	for i, b := range definitions {
		if both || i == first {
			c.items = append(c.items, item{fmt.Sprint(i), of(b, random.Int64N(4))})
		}
	}
	return c
}
