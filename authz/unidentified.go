package authz

import (
	"context"
	"slices"
)

// recall tells of a request that the limits that need no caller are known to
// deny: then nobody asks whose it is.
func (s *Server) recall(known []Charge) (LimitResult, bool) {
	if len(known) == 0 {
		return LimitResult{}, false
	}
	return s.limiter.Recall(known)
}

// chargeUnidentified charges a request whose caller is not known, or may not, to
// the limits for which that does not matter, so that a flood of bad credentials is
// limited as one of good ones is. Where one of them is used up, that is the
// answer.
func (s *Server) chargeUnidentified(ctx context.Context, known []Charge, v Verdict) Verdict {
	_, p := problemOf(v.Reason)
	known = slices.DeleteFunc(known, func(c Charge) bool { return c.Limit.Concurrency != nil }) // it is in flight no more
	if len(known) == 0 || p.status != 401 && p.status != 403 || ctx.Err() != nil {
		return v
	}
	switch r := s.limiter.Take(ctx, known); {
	case r.Allowed:
		v.Limits = r
	case !r.StoreDown: // else what was found stands: there is no better word
		v = v.limited(r)
	}
	return v
}
