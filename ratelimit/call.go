package ratelimit

import (
	_ "embed"
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
type op string

const (
	// opTake charges all items, or none.
	opTake op = "t"
	// opForce charges all items, whatever there is.
	opForce op = "f"
	// opRefund gives back what items took.
	opRefund op = "r"
)

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

// encode is what take.lua is called with for calls, at the time of clock: empty
// for Redis' own, which is about now.
func encode(clock string, now int64, calls []call) (keys []string, args []any) {
	args = append(make([]any, 0, 1+8*len(calls)), clock)
	for _, c := range calls {
		args = append(args, string(c.op), len(c.items))
		for _, it := range c.items {
			keys = append(keys, redisPrefix+it.key)
			args = it.words(append(args, it.kind(), max(it.Cost, 0)), it.Demand, now)
		}
	}
	return keys, args
}

// decode reads the script's reply: the results of each call. A reply that the
// script cannot have given is an error: whatever answers there is not our Redis.
func decode(calls []call, reply []int64) ([][]Result, error) {
	const perItem = 4
	size := 1
	for _, c := range calls {
		size += 1 + perItem*len(c.items)
	}
	if len(reply) != size {
		return nil, fmt.Errorf("%d numbers in the reply, want %d", len(reply), size)
	}
	all, now, rest := make([][]Result, len(calls)), reply[0], reply[1:]
	for i, c := range calls {
		charged, words := rest[0], rest[1:1+perItem*len(c.items)]
		rest = rest[1+perItem*len(c.items):]
		all[i] = make([]Result, 0, len(c.items))
		for j, it := range c.items {
			r, ok := resultOf(it.Definition, now, words[perItem*j:])
			if !ok {
				return nil, fmt.Errorf("%d in the reply, which no limit says", words[perItem*j:perItem*(j+1)])
			}
			all[i] = append(all[i], r)
		}
		if denied := slices.ContainsFunc(all[i], func(r Result) bool { return !r.Allowed }); charged != 1 && charged != 0 || (charged == 0) != (denied && c.op == opTake) {
			return nil, fmt.Errorf("%d for charged in the reply, which no call is", charged)
		}
	}
	return all, nil
}

// resultOf reads the four numbers that the script says of one limit at time now.
func resultOf(d Definition, now int64, words []int64) (Result, bool) {
	allowed, remaining, retry, reset := words[0], words[1], words[2], words[3]
	ok := (allowed == 0 || allowed == 1) && remaining >= 0 && remaining <= d.most() &&
		retry >= -1 && (retry == 0) == (allowed == 1) && reset >= 0
	if !ok {
		return Result{}, false
	}
	r := Result{Allowed: allowed == 1, Remaining: remaining, ResetAfter: micros(uint64(reset)), RetryAfter: Never, At: d.stamp(now, reset)}
	if retry >= 0 {
		r.RetryAfter = micros(uint64(retry))
	}
	return r, true
}
