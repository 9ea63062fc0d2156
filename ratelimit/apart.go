package ratelimit

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/redisclient"
)

// While a slot is moved from one server to another, some of its keys are here and
// others there, and one that nobody has written yet is nowhere: no server runs a
// script over several of them (TRYAGAIN), until the last is moved. Each alone can be
// had at any time: the server that had it says where it is (ASK). So calls that fail so
// are done key by key, and what one limit of a request denies the others get back.

// isSevered says whether an error is of keys that may be in several places. One that
// is still MOVED when all redirections are used up is of a slot which was moved to a
// server that it is being moved from again.
func isSevered(err error) bool { return redisclient.Moving(err) }

// several says whether calls have more than one key.
func several(calls []call) bool {
	first := ""
	for _, c := range calls {
		for _, it := range c.items {
			if first == "" {
				first = it.key
			}
			if it.key != first {
				return true
			}
		}
	}
	return false
}

// apart answers calls key by key, by the servers that have them.
func (r *redisStore) apart(ctx context.Context, calls []call) []replied {
	var each []call
	for _, c := range calls {
		for _, it := range c.items {
			each = append(each, call{op: c.op, items: []item{it}})
		}
	}
	answers := r.alone(ctx, each)
	replies := make([]replied, len(calls))
	var back []call
	for i, c := range calls {
		n := len(c.items)
		replies[i] = together(answers[:n])
		if c.op == opTake && replies[i].err == nil {
			back = append(back, undone(each[:n], replies[i].results)...)
		}
		each, answers = each[n:], answers[n:]
	}
	if len(back) > 0 {
		r.alone(ctx, back) // what cannot be given back stays charged: too strict, and never too loose
	}
	return replies
}

// together is one reply of those to the items of a call. An error is that of all.
func together(answers []replied) replied {
	if err := firstError(answers); err != nil {
		return replied{err: err}
	}
	var all replied
	for _, a := range answers {
		all.results = append(all.results, a.results...)
	}
	return all
}

// undone is what gives back the charges of a call, done item by item, of which one is
// denied, and has the results say so. Where none is, there is nothing to give back.
func undone(each []call, results []Result) (back []call) {
	if !slices.ContainsFunc(results, func(r Result) bool { return !r.Allowed }) {
		return nil
	}
	for i, c := range each {
		if results[i].Allowed {
			back = append(back, refund(c, results[i:i+1]))
			results[i] = results[i].without(c.items[0])
		}
	}
	return back
}

// without is what a result says once it is given back what it charged.
func (r Result) without(it item) Result {
	r.Remaining = min(saturatingSum(r.Remaining, max(it.Cost, 0)), it.most())
	return r
}

// alone answers calls of one item each, in one round trip to each server that knows
// the script and has what it is asked for.
func (r *redisStore) alone(ctx context.Context, calls []call) []replied {
	groups := make([]*group, len(calls))
	for i, c := range calls {
		groups[i] = &group{calls: []call{c}, at: []int{i}}
	}
	replies := make([]replied, len(calls))
	send(ctx, r.client, groups, func(g *group) redis.Cmder { return g.command(ctx, "evalsha", r.script.Hash(), r.time(), r.around()) })
	unknown := groups[:0:0]
	for _, g := range groups {
		if redis.HasErrorPrefix(g.sent.Err(), "NOSCRIPT") {
			unknown = append(unknown, g)
		} else {
			g.answer(replies)
		}
	}
	if len(unknown) == 0 {
		return replies
	}
	send(ctx, r.client, unknown, func(g *group) redis.Cmder {
		return g.command(ctx, "eval", commonSource+takeSource, r.time(), r.around())
	})
	for _, g := range unknown {
		g.answer(replies)
	}
	return replies
}
