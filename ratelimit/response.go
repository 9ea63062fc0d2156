package ratelimit

import (
	"fmt"
	"math"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatewright/gatewright/config"
)

// wireResponse is a response with the memory that it is made of. The zero value is
// ready; what say has returned holds until it says the next.
type wireResponse struct {
	response rlsv3.RateLimitResponse
	statuses []*wireStatus // more than the response has, perhaps
	headers  []*corev3.HeaderValue
}

type wireStatus struct {
	status  rlsv3.RateLimitResponse_DescriptorStatus
	current rlsv3.RateLimitResponse_RateLimit
	reset   durationpb.Duration
}

// say says a decision in Envoy's words: a status for each charge, in order.
func (w *wireResponse) say(d Decision, charges []Charge, verdicts []verdict, by config.RateLimitHeaders) *rlsv3.RateLimitResponse {
	r := &w.response
	r.OverallCode = code(d.Allowed)
	r.ResponseHeadersToAdd = w.tell(r.ResponseHeadersToAdd[:0], d, by)
	r.Statuses = r.Statuses[:0]
	for i, v := range verdicts {
		if i == len(w.statuses) {
			w.statuses = append(w.statuses, new(wireStatus))
		}
		r.Statuses = append(r.Statuses, w.statuses[i].say(&charges[i], v))
	}
	r.DynamicMetadata, r.RawBody = told(d), nil
	if d.RetryAfter == Never {
		r.RawBody = fmt.Appendf(nil, "The request costs more than limit %q holds (%d): it can never pass.\n", d.Limit, d.Capacity)
	}
	return r
}

// told is what access logs say of a decision: nothing of what passes all limits,
// those in shadow too.
func told(d Decision) *structpb.Struct {
	if d.Allowed && len(d.Shadow) == 0 {
		return nil
	}
	fields := map[string]*structpb.Value{}
	if !d.Allowed {
		fields["reason"] = structpb.NewStringValue(rateLimited)
		fields["limit"] = structpb.NewStringValue(d.Limit)
	}
	if len(d.Shadow) > 0 {
		fields["shadow"] = structpb.NewStringValue(rateLimited)
	}
	return &structpb.Struct{Fields: fields}
}

// rateLimited is the reason of a denial, as Check says it.
const rateLimited = "rate-limited"

// say has no current limit where no bucket was asked; Envoy then reports no numbers.
func (w *wireStatus) say(c *Charge, v verdict) *rlsv3.RateLimitResponse_DescriptorStatus {
	s := &w.status
	s.Code, s.CurrentLimit, s.LimitRemaining, s.DurationUntilReset = code(v.Allowed), nil, 0, nil
	if v.counted {
		setLimit(&w.current, c)
		w.reset.Seconds, w.reset.Nanos = int64(v.ResetAfter/time.Second), int32(v.ResetAfter%time.Second)
		s.CurrentLimit, s.DurationUntilReset = &w.current, &w.reset
		s.LimitRemaining = uint32(min(v.Remaining, math.MaxUint32))
	}
	return s
}

func code(allowed bool) rlsv3.RateLimitResponse_Code {
	if allowed {
		return rlsv3.RateLimitResponse_OK
	}
	return rlsv3.RateLimitResponse_OVER_LIMIT
}

// setLimit sets the limit's name, and how much of it there is for the caller where
// Envoy has a unit for that.
func setLimit(current *rlsv3.RateLimitResponse_RateLimit, c *Charge) {
	current.Name, current.Unit, current.RequestsPerUnit = c.Limit.Name, rlsv3.RateLimitResponse_RateLimit_UNKNOWN, 0
	n, unit := perUnit(c.Limit.For(c.Allowance))
	if unit != rlsv3.RateLimitResponse_RateLimit_UNKNOWN && n <= math.MaxUint32 {
		current.Unit, current.RequestsPerUnit = unit, uint32(n)
	}
}

// perUnit is how much a limit admits over time, in a unit of Envoy's.
func perUnit(p config.LimitPlan) (int64, rlsv3.RateLimitResponse_RateLimit_Unit) {
	window := func(w *config.SlidingWindow) (int64, rlsv3.RateLimitResponse_RateLimit_Unit) {
		return w.Limit, unitOf(time.Duration(w.Window))
	}
	switch {
	case p.TokenBucket != nil:
		return p.TokenBucket.Refill.Events, unitOf(p.TokenBucket.Refill.Per)
	case p.SlidingWindow != nil:
		return window(p.SlidingWindow)
	case p.SlidingLog != nil:
		return window(p.SlidingLog)
	case p.FixedWindow != nil:
		return window(p.FixedWindow)
	case p.Quota != nil:
		return p.Quota.Limit, unitOfCalendar(p.Quota.Per)
	}
	return 0, rlsv3.RateLimitResponse_RateLimit_UNKNOWN
}

func unitOfCalendar(per config.CalendarUnit) rlsv3.RateLimitResponse_RateLimit_Unit {
	switch per {
	case config.PerHour:
		return rlsv3.RateLimitResponse_RateLimit_HOUR
	case config.PerDay:
		return rlsv3.RateLimitResponse_RateLimit_DAY
	case config.PerWeek:
		return rlsv3.RateLimitResponse_RateLimit_WEEK
	case config.PerMonth:
		return rlsv3.RateLimitResponse_RateLimit_MONTH
	}
	return rlsv3.RateLimitResponse_RateLimit_UNKNOWN
}

func unitOf(per time.Duration) rlsv3.RateLimitResponse_RateLimit_Unit {
	switch per {
	case time.Second:
		return rlsv3.RateLimitResponse_RateLimit_SECOND
	case time.Minute:
		return rlsv3.RateLimitResponse_RateLimit_MINUTE
	case time.Hour:
		return rlsv3.RateLimitResponse_RateLimit_HOUR
	case 24 * time.Hour:
		return rlsv3.RateLimitResponse_RateLimit_DAY
	case 7 * 24 * time.Hour:
		return rlsv3.RateLimitResponse_RateLimit_WEEK
	}
	return rlsv3.RateLimitResponse_RateLimit_UNKNOWN
}

// tell appends the headers that Check sets too: the three of
// draft-ietf-httpapi-ratelimit-headers-06, or those with X- before them, and
// Retry-After (RFC 9110, 10.2.3) on a denial that ends.
func (w *wireResponse) tell(to []*corev3.HeaderValue, d Decision, by config.RateLimitHeaders) []*corev3.HeaderValue {
	if d.Limit == "" {
		return to
	}
	header := func(name string, value int64) {
		n := len(to)
		if n == len(w.headers) {
			w.headers = append(w.headers, new(corev3.HeaderValue))
		}
		w.headers[n].Key, w.headers[n].Value = name, strconv.FormatInt(value, 10)
		to = append(to, w.headers[n])
	}
	if by.IETF() {
		header("RateLimit-Limit", d.Capacity)
		header("RateLimit-Remaining", d.Remaining)
		header("RateLimit-Reset", wholeSeconds(d.ResetAfter))
	}
	if by.X() {
		header("X-RateLimit-Limit", d.Capacity)
		header("X-RateLimit-Remaining", d.Remaining)
		header("X-RateLimit-Reset", wholeSeconds(d.ResetAfter))
	}
	if !d.Allowed && d.RetryAfter != Never {
		header("Retry-After", max(wholeSeconds(d.RetryAfter), 1))
	}
	return to
}

// wholeSeconds is d rounded up.
func wholeSeconds(d time.Duration) int64 { return ceilDiv(int64(d), int64(time.Second)) }
