package ratelimit

import (
	"math"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// response says verdicts in Envoy's words, as envoyproxy/ratelimit does.
//
// A request is over its limit where a rule is that has no quota_mode, or where all
// that have it are: one quota with room in it is enough.
func (r *Rules) response(request *rlsv3.RateLimitRequest, questions []question, verdicts []verdict) *rlsv3.RateLimitResponse {
	answer := &rlsv3.RateLimitResponse{Statuses: make([]*rlsv3.RateLimitResponse_DescriptorStatus, len(questions))}
	t := teller{least: math.MaxUint32}
	quotas, failedQuotas, failed := 0, 0, 0
	for i, q := range questions {
		v := verdicts[i]
		over := q.over(v)
		r.count(q, v, over)
		answer.Statuses[i] = r.status(q, v, over)
		if q.rule != nil && q.rule.Unlimited {
			continue
		}
		quota := r.settings.QuotaMode || q.rule != nil && q.rule.QuotaMode
		denies := over && !q.rule.ShadowMode
		switch {
		case denies && quota:
			failedQuotas++
		case denies:
			failed++
		}
		if quota {
			quotas++
		}
		t.hear(q, answer.Statuses[i], denies && !quota)
	}
	answer.OverallCode = code(failed == 0 && (quotas == 0 || failedQuotas < quotas))
	if answer.OverallCode == rlsv3.RateLimitResponse_OVER_LIMIT && r.settings.ShadowMode {
		answer.OverallCode = rlsv3.RateLimitResponse_OK
		r.metrics.shadowed.Inc()
	}
	if r.settings.Headers {
		answer.ResponseHeadersToAdd = r.headers(t.told)
	}
	if r.settings.DynamicMetadata {
		answer.DynamicMetadata = dynamicMetadata(request, questions, answer.Statuses)
	}
	return answer
}

// status is what is said of one descriptor. Without a limit, or without a count, it says
// no numbers.
func (r *Rules) status(q question, v verdict, over bool) *rlsv3.RateLimitResponse_DescriptorStatus {
	s := &rlsv3.RateLimitResponse_DescriptorStatus{Code: rlsv3.RateLimitResponse_OK}
	switch {
	case q.rule == nil:
		return s
	case q.rule.Unlimited:
		s.LimitRemaining = math.MaxUint32
		return s
	case q.counts && !v.counted:
		return s // done without Redis
	}
	s.Code = code(!over || q.rule.ShadowMode)
	s.CurrentLimit = &rlsv3.RateLimitResponse_RateLimit{
		Name: q.rule.Name, RequestsPerUnit: q.rule.Requests, Unit: envoyUnit(q.rule.Unit),
	}
	s.LimitRemaining = q.remaining(v)
	s.DurationUntilReset = &durationpb.Duration{Seconds: r.reset(q, v)}
	return s
}

// reset is how many seconds there are until the limit is as new. A window that nothing
// was counted in ends with its unit.
func (r *Rules) reset(q question, v verdict) int64 {
	if q.counts && (v.ResetAfter > 0 || q.rule.Limit.FixedWindow == nil) {
		return wholeSeconds(v.ResetAfter)
	}
	unit := int64(q.rule.Unit.Length() / time.Second)
	return unit - r.now().Unix()%unit
}

// teller picks the descriptor that headers tell of: the last that denies, or else
// the one with the least left.
type teller struct {
	least uint32
	told  *rlsv3.RateLimitResponse_DescriptorStatus
}

func (t *teller) hear(q question, s *rlsv3.RateLimitResponse_DescriptorStatus, denies bool) {
	if denies || s.GetCurrentLimit() != nil && s.GetLimitRemaining() < t.least {
		t.told, t.least = s, s.GetLimitRemaining()
	}
}

// headers tell of a descriptor, if there is one to tell of.
func (r *Rules) headers(told *rlsv3.RateLimitResponse_DescriptorStatus) []*corev3.HeaderValue {
	if told == nil {
		return nil
	}
	return []*corev3.HeaderValue{
		header(r.settings.LimitHeader, int64(told.GetCurrentLimit().GetRequestsPerUnit())),
		header(r.settings.RemainingHeader, int64(told.GetLimitRemaining())),
		header(r.settings.ResetHeader, told.GetDurationUntilReset().GetSeconds()),
	}
}

func header(name string, value int64) *corev3.HeaderValue {
	return &corev3.HeaderValue{Key: name, Value: strconv.FormatInt(value, 10)}
}

// count counts what became of a question's hits.
func (r *Rules) count(q question, v verdict, over bool) {
	if q.rule == nil || q.giveBack {
		return
	}
	near := uint32(float64(q.rule.Requests) * r.settings.NearLimitRatio)
	result := resultWithin
	switch {
	case q.rule.Unlimited:
	case over && q.rule.ShadowMode:
		result = resultShadow
	case over:
		result = resultOver
	case q.counts && !v.counted:
		result = resultLost
	case q.rule.Requests-min(q.remaining(v), q.rule.Requests) > near:
		result = resultNear
	}
	r.metrics.hit(q.rule, q.path, result, q.hits)
}
