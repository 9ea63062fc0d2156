package authz

import (
	"context"
	"runtime/debug"
	"slices"
	"time"
)

// shadowPatience is the longest that a request waits for what its route has in
// shadow. An issuer or a key store that is slower is not waited for; its answer,
// where it comes, is remembered for the next request.
const shadowPatience = 100 * time.Millisecond

// InForce is the policy that p would be, were its requirements in shadow those
// that it enforces in the place of AnyOf. What all must have stays.
func (p *Policy) InForce() *Policy {
	return &Policy{
		AnyOf: p.Shadow, AllOf: p.AllOf, AllowAnonymous: p.AllowAnonymous,
		Breakers: p.Breakers, OnlyBackend: p.OnlyBackend,
		Limits: p.Limits, LimitsInFilter: p.LimitsInFilter, RateLimitHeaders: p.RateLimitHeaders, meters: p.meters,
	}
}

// Reads is a policy with all the requirements of p: what is read of a request,
// and taken out of it, is that of every one, in whichever mode.
func (p *Policy) Reads() *Policy {
	if len(p.Shadow) == 0 {
		return p
	}
	return &Policy{AnyOf: slices.Concat(p.AnyOf, p.Shadow), AllOf: p.AllOf}
}

// shadowed is the policy that p would be in force, and what a request shows to
// it. It shares nothing with what is shown to the requirements that decide, so
// that nothing that is made of the one bears on the other. The zero value is
// that there is nothing in shadow.
type shadowed struct {
	policy *Policy
	shown  *credentials
}

// readInShadow takes from a request what requirements in shadow read. Its form
// is judged before any requirement is, and so the refusal is one in force.
func readInShadow(rq *request, p *Policy) (shadowed, *refusal) {
	if len(p.Shadow) == 0 {
		return shadowed{}, nil
	}
	in := shadowed{policy: p.InForce()}
	var refused *refusal
	in.shown, refused = readCredentials(rq, in.policy)
	return in, refused
}

// judgeInShadow is whom the requirements in shadow take the caller for, and what
// they would answer; nobody, where they would refuse. Whatever happens in it,
// it ends, soon, and without a word on whether the request passes.
func (s *Server) judgeInShadow(ctx context.Context, rq *request, in shadowed) (who *caller, result Reason) {
	defer func() {
		if fault := recover(); fault != nil {
			who, result = nil, ReasonInternal
			if s.troubles.due(time.Now()) {
				s.log.Error("judging a request in shadow panicked",
					"route", rq.route, "fault", fault, "stack", string(debug.Stack()))
			}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, shadowTime(ctx))
	defer cancel()
	who, none := s.callerBy(ctx, in.shown, in.policy, s.clock())
	if none == nil {
		return who, ReasonAllowed
	}
	result, p := problemOf(none.reason)
	if p.status >= 500 && ctx.Err() != nil {
		result = ReasonDeadlineExceeded
	}
	if none.cause != nil && s.troubles.due(time.Now()) {
		s.log.Warn("a request could not be judged in shadow",
			"route", rq.route, "policy", rq.policy, "reason", result, "error", none.cause)
	}
	return nil, result
}

// shadowTime is at most half of the time that Envoy still waits: limits come
// after it, and the reply.
func shadowTime(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return shadowPatience
	}
	return min(shadowPatience, time.Until(deadline)/2)
}
