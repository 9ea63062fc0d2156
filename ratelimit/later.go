package ratelimit

import (
	"context"
	"slices"
	"time"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/gatewright/gatewright/internal/inline"
)

// A request that one call to one Redis server decides is left there: no goroutine
// waits with it. When the call is back, a goroutine of the lane goes on with all that
// were in it, one after the other, and their replies are written together. Requests
// that wait for more than that, for several servers, a lease or what another has asked,
// have a goroutine each; and so have all that come by grpc-go.

// inquiry is a request that is left to Redis, and what it will be answered by. It is
// the continuation of the request, and the reply.
type inquiry struct {
	service *Service
	in      *wireRequest
	call    inline.Later
	replies []replied

	// Of Domain.
	charges  []Charge
	basket   basket
	asked    time.Time
	take     [1]call
	verdicts []verdict

	// Of a domain of rules; nil of Domain.
	request   *rlsv3.RateLimitRequest
	questions []question
	calls     []call
}

// leaveCharges leaves a request to Redis, where that alone decides it.
func (s *Service) leaveCharges(ctx context.Context, charges []Charge, in *wireRequest) (left bool) {
	later := inline.LaterOf(ctx)
	if later == nil || !s.limiter.storeDecides(charges) {
		return false
	}
	q := &in.inquiry
	if q.basket.fill(charges, &s.limiter.limits) != nil {
		return false // who decides says so
	}
	s.limiter.number(&q.basket)
	q.charges, q.asked = charges, s.limiter.denials.now()
	q.take[0] = call{op: opTake, items: q.basket.items}
	return q.leave(s, in, later, q.take[:])
}

// leaveQuestions is leaveCharges in a domain of rules.
func (s *Service) leaveQuestions(ctx context.Context, r *rlsv3.RateLimitRequest, questions []question, in *wireRequest) (left bool) {
	later := inline.LaterOf(ctx)
	if later == nil || s.limiter.shared == nil {
		return false
	}
	q := &in.inquiry
	q.request, q.questions, q.calls = r, questions, callsOf(questions)
	return q.leave(s, in, later, q.calls)
}

func (q *inquiry) leave(s *Service, in *wireRequest, later inline.Later, calls []call) (left bool) {
	lane := s.limiter.shared.laneFor(calls)
	if lane == nil {
		q.forget()
		return false
	}
	q.service, q.in, q.call = s, in, later
	later.Detach()
	s.limiter.shared.askLater(lane, calls, q)
	return true
}

// storeDecides says whether the shared store decides of charges by one call, whatever
// is known here.
func (l *Limiter) storeDecides(charges []Charge) bool {
	return l.shared != nil && !slices.ContainsFunc(charges, func(c Charge) bool {
		return c.Limit.InShadow() || l.near.of(c.Limit) != nil
	})
}

// goOn implements continuation.
func (q *inquiry) goOn(replies []replied, answers *inline.Answers) {
	q.replies = replies
	answers.Give(q.call, q)
	in := q.in
	q.forget()
	wireRequests.Put(in)
}

// forget leaves but memory for the next.
func (q *inquiry) forget() {
	*q = inquiry{basket: q.basket, verdicts: q.verdicts}
}

// AppendReply implements inline.Reply.
func (q *inquiry) AppendReply(memory []byte) ([]byte, error) {
	respond := q.toCharges
	if q.request != nil {
		respond = q.toQuestions
	}
	response, err := respond()
	if err != nil {
		return nil, err
	}
	return appendResponse(memory, response)
}

func (q *inquiry) toCharges() (*rlsv3.RateLimitResponse, error) {
	l := q.service.limiter
	verdicts, down := []verdict(nil), false
	if r := q.replies[0]; r.err == nil {
		q.verdicts = appendVerdicts(q.verdicts[:0], r.results)
		verdicts = q.verdicts
	} else {
		verdicts, down = l.without(context.Background(), &q.basket, unknown(&q.basket)), true
	}
	decision, verdicts := l.concludeShared(&q.basket, verdicts, down)
	decision, verdicts = l.conclusion(&q.basket, q.asked, decision, verdicts)
	return q.service.say(decision, q.charges, verdicts, &q.in.response)
}

func (q *inquiry) toQuestions() (*rlsv3.RateLimitResponse, error) {
	rules := q.service.Rules
	results, err := resultsOf(q.replies)
	results, err = q.service.limiter.orWithout(context.Background(), q.calls, results, err, rules.settings.OnStoreFailure)
	if err != nil {
		return nil, err
	}
	return rules.response(q.request, q.questions, verdictsFor(q.questions, results)), nil
}
