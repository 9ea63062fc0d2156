package ratelimit

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
)

// What scripts share, and the script that answers calls. The text is constant:
// Redis knows a script by its hash.
var (
	//go:embed common.lua
	commonSource string
	//go:embed take.lua
	takeSource string
)

// op is what a call asks of its items.
type op int

// The ops, by the numbers that take.lua knows them by.
const (
	// opTake charges all items, or none.
	opTake op = 0
	// opForce charges all items, whatever there is.
	opForce op = 1
	// opRefund gives back what items took.
	opRefund op = 2
)

func (o op) String() string { return [...]string{"take", "force", "refund"}[o] }

// call is one request to a store: its items are answered together. Their keys are
// distinct.
type call struct {
	op    op
	items []item
}

// do does it in memory. changed says that the states are to be kept.
func (o op) do(states []State, demands []Demand, now int64) (next []State, results []Result, changed bool) {
	one := Force
	switch o {
	case opTake:
		return TakeAll(states, demands, now)
	case opRefund:
		one = Refund
	}
	results = make([]Result, len(demands))
	for i, d := range demands {
		states[i], results[i] = one(states[i], d, now)
	}
	return states, results, true
}

// refund is the call that gives back what c took, with these results.
func refund(c call, results []Result) call {
	back := call{op: opRefund, items: slices.Clone(c.items)}
	for i := range back.items {
		back.items[i].At = results[i].At
	}
	return back
}

// reply is what the script says, as far as it has not been read.
type reply struct {
	now  int64
	rest []int64
}

// decode reads the script's reply: the results of each call. A reply that the
// script cannot have given is an error: whatever answers there is not our Redis.
func decode(calls []call, numbers []int64) ([][]Result, error) {
	if len(numbers) == 0 {
		return nil, errors.New("nothing in the reply")
	}
	items := 0
	for _, c := range calls {
		items += len(c.items)
	}
	all, results := make([][]Result, len(calls)), make([]Result, 0, items)
	r := reply{now: numbers[0], rest: numbers[1:]}
	for i, c := range calls {
		begin := len(results)
		for _, it := range c.items {
			result, err := r.next(it.Demand)
			if err != nil {
				return nil, err
			}
			results = append(results, result)
		}
		all[i] = results[begin:len(results):len(results)]
	}
	if len(r.rest) > 0 {
		return nil, fmt.Errorf("%d numbers more in the reply than the limits say", len(r.rest))
	}
	return all, nil
}

// The first number of what the script says of a limit: what follows is what its
// result is made of, or the bucket that it is to be made of.
const (
	saidDenied, saidAllowed     = 0, 1
	bucketDenied, bucketAllowed = 2, 3
)

// next reads what the script says of one limit.
func (r *reply) next(d Demand) (Result, error) {
	if len(r.rest) >= 3 && (r.rest[0] == bucketAllowed || r.rest[0] == bucketDenied) {
		said := r.rest[:3]
		r.rest = r.rest[3:]
		if b, ok := d.Definition.(Bucket); ok && b.has(said[1]) && said[2] >= 0 && said[2] <= maxExact {
			state := State{Level: said[1], Unit: b.unit, Last: r.now + said[2]}
			return d.tell(state, said[0] == bucketAllowed, r.now), nil
		}
		return Result{}, fmt.Errorf("%d in the reply, which no bucket says", said)
	}
	if len(r.rest) < 4 {
		return Result{}, fmt.Errorf("%d numbers at the end of the reply, want those of a limit", len(r.rest))
	}
	said := r.rest[:4]
	r.rest = r.rest[4:]
	result, ok := resultOf(d.Definition, r.now, said)
	if !ok {
		return Result{}, fmt.Errorf("%d in the reply, which no limit says", said)
	}
	return result, nil
}

// resultOf reads the four numbers that the script says of one limit at time now.
func resultOf(d Definition, now int64, words []int64) (Result, bool) {
	allowed, remaining, retry, reset := words[0], words[1], words[2], words[3]
	ok := (allowed == saidDenied || allowed == saidAllowed) && remaining >= 0 && remaining <= d.most() &&
		retry >= -1 && (retry == 0) == (allowed == saidAllowed) && reset >= 0
	if !ok {
		return Result{}, false
	}
	r := Result{Allowed: allowed == saidAllowed, Remaining: remaining, ResetAfter: micros(uint64(reset)), RetryAfter: Never, At: d.stamp(now, reset)}
	if retry >= 0 {
		r.RetryAfter = micros(uint64(retry))
	}
	return r, true
}
