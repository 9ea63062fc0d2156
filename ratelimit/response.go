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

// response says a decision in Envoy's words: a status for each charge, in order.
func response(d Decision, charges []Charge, verdicts []verdict, by config.RateLimitHeaders) *rlsv3.RateLimitResponse {
	r := &rlsv3.RateLimitResponse{
		OverallCode:          code(d.Allowed),
		ResponseHeadersToAdd: responseHeaders(d, by),
	}
	for i, v := range verdicts {
		r.Statuses = append(r.Statuses, descriptorStatus(charges[i], v))
	}
	r.DynamicMetadata = told(d)
	if d.RetryAfter == Never {
		r.RawBody = fmt.Appendf(nil, "The request costs more than limit %q holds (%d): it can never pass.\n", d.Limit, d.Capacity)
	}
	return r
}

// told is what access logs say of a decision: nothing of what passes all limits,
// those in shadow too.
func told(d Decision) *structpb.Struct {
	fields := map[string]*structpb.Value{}
	if !d.Allowed {
		fields["reason"] = structpb.NewStringValue(rateLimited)
		fields["limit"] = structpb.NewStringValue(d.Limit)
	}
	if len(d.Shadow) > 0 {
		fields["shadow"] = structpb.NewStringValue(rateLimited)
	}
	if len(fields) == 0 {
		return nil
	}
	return &structpb.Struct{Fields: fields}
}

// rateLimited is the reason of a denial, as Check says it.
const rateLimited = "rate-limited"

// descriptorStatus has no current limit where no bucket was asked; Envoy then
// reports no numbers.
func descriptorStatus(c Charge, v verdict) *rlsv3.RateLimitResponse_DescriptorStatus {
	s := &rlsv3.RateLimitResponse_DescriptorStatus{Code: code(v.Allowed)}
	if v.counted {
		s.CurrentLimit = currentLimit(c)
		s.LimitRemaining = uint32(min(v.Remaining, math.MaxUint32))
		s.DurationUntilReset = durationpb.New(v.ResetAfter)
	}
	return s
}

func code(allowed bool) rlsv3.RateLimitResponse_Code {
	if allowed {
		return rlsv3.RateLimitResponse_OK
	}
	return rlsv3.RateLimitResponse_OVER_LIMIT
}

// currentLimit is the limit's name, and how much of it there is for the caller
// where Envoy has a unit for that.
func currentLimit(c Charge) *rlsv3.RateLimitResponse_RateLimit {
	current := &rlsv3.RateLimitResponse_RateLimit{Name: c.Limit.Name}
	n, unit := perUnit(c.Limit.For(c.Allowance))
	if unit != rlsv3.RateLimitResponse_RateLimit_UNKNOWN && n <= math.MaxUint32 {
		current.Unit, current.RequestsPerUnit = unit, uint32(n)
	}
	return current
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

// responseHeaders are those that Check sets too: the three of
// draft-ietf-httpapi-ratelimit-headers-06, or those with X- before them, and
// Retry-After (RFC 9110, 10.2.3) on a denial that ends.
func responseHeaders(d Decision, by config.RateLimitHeaders) []*corev3.HeaderValue {
	if d.Limit == "" {
		return nil
	}
	var headers []*corev3.HeaderValue
	tell := func(prefix string) {
		headers = append(headers,
			header(prefix+"RateLimit-Limit", d.Capacity),
			header(prefix+"RateLimit-Remaining", d.Remaining),
			header(prefix+"RateLimit-Reset", wholeSeconds(d.ResetAfter)))
	}
	if by.IETF() {
		tell("")
	}
	if by.X() {
		tell("X-")
	}
	if !d.Allowed && d.RetryAfter != Never {
		headers = append(headers, header("Retry-After", max(wholeSeconds(d.RetryAfter), 1)))
	}
	return headers
}

func header(name string, value int64) *corev3.HeaderValue {
	return &corev3.HeaderValue{Key: name, Value: strconv.FormatInt(value, 10)}
}

// wholeSeconds is d rounded up.
func wholeSeconds(d time.Duration) int64 { return ceilDiv(int64(d), int64(time.Second)) }
