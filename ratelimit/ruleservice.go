package ratelimit

import (
	"context"
	"math"
	"math/rand/v2"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/limitfiles"
)

// question is what one descriptor asks in a domain of rules.
type question struct {
	// rule is nil where there is no limit, or another rule of the request has
	// replaced it.
	rule *limitfiles.Rule
	// path is what the rule is called in metrics.
	path string
	// hits are asked for, or given back.
	hits     int64
	giveBack bool
	// item is what is counted, where counts is true: not of what is unlimited, and not
	// of a rule that admits nothing.
	item   item
	counts bool
}

// answerByRules answers for a domain of envoyproxy/ratelimit's files as that server does:
// each descriptor is charged by itself, a fixed window whether it has room or not.
// What no rule matches has no limit; and so has a domain that no file has.
func (s *Service) answerByRules(ctx context.Context, r *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	questions, err := s.questions(r)
	if err != nil {
		return nil, err
	}
	return s.answerQuestions(ctx, r, questions)
}

func (s *Service) answerQuestions(ctx context.Context, r *rlsv3.RateLimitRequest, questions []question) (*rlsv3.RateLimitResponse, error) {
	verdicts, err := s.limiter.each(ctx, questions, s.Rules.settings.OnStoreFailure)
	if err != nil {
		return nil, err
	}
	return s.Rules.response(r, questions, verdicts), nil
}

// questions are those of the request's descriptors, in their order, by the rules as
// they are now.
func (s *Service) questions(r *rlsv3.RateLimitRequest) ([]question, error) {
	set := s.Rules.current.Load()
	if set == nil {
		return nil, status.Error(codes.Unavailable, "no rate limit configuration has been good yet")
	}
	if err := checkRequest(r); err != nil {
		return nil, err
	}
	if !set.table.Knows(r.GetDomain()) {
		s.Rules.metrics.unknown.Inc()
	}
	return set.questions(r, s.Rules.now().UnixMicro())
}

func checkRequest(r *rlsv3.RateLimitRequest) error {
	switch n := len(r.GetDescriptors()); {
	case r.GetDomain() == "":
		return status.Error(codes.InvalidArgument, "no domain")
	case n == 0:
		return status.Error(codes.InvalidArgument, "no descriptor: there is nothing to count")
	case n > maxDescriptors:
		return status.Errorf(codes.InvalidArgument, "%d descriptors, at most %d", n, maxDescriptors)
	}
	return nil
}

// questions are those of the request's descriptors, in their order. now is in
// microseconds.
func (s *ruleSet) questions(r *rlsv3.RateLimitRequest, now int64) ([]question, error) {
	questions := make([]question, len(r.GetDescriptors()))
	var replaced map[string]bool
	for i, d := range r.GetDescriptors() {
		q, err := s.question(r, d, now)
		if err != nil {
			return nil, status.Errorf(status.Code(err), "descriptor %d: %s", i, status.Convert(err).Message())
		}
		if q.rule != nil {
			for _, name := range q.rule.Replaces {
				if replaced == nil {
					replaced = map[string]bool{}
				}
				replaced[name] = true
			}
		}
		questions[i] = q
	}
	for i, q := range questions {
		if q.rule != nil && q.rule.Name != "" && !q.rule.Unlimited && replaced[q.rule.Name] {
			questions[i] = question{}
		}
	}
	return questions, nil
}

func (s *ruleSet) question(r *rlsv3.RateLimitRequest, d *commonv3.RateLimitDescriptor, now int64) (question, error) {
	entries := d.GetEntries()
	q := question{hits: hits(r, d), giveBack: d.GetIsNegativeHits()}
	switch override := d.GetLimit(); {
	case override == nil:
		q.rule = limitfiles.Find(s.table, r.GetDomain(), entries)
	case s.table.Knows(r.GetDomain()):
		rule, err := overrideRule(r.GetDomain(), entries, override)
		if err != nil {
			return question{}, err
		}
		q.rule = rule
	}
	if q.rule == nil {
		return question{}, nil
	}
	q.path = limitfiles.PathOf(q.rule, entries)
	limit := q.rule.Limit
	if limit == nil {
		return q, nil
	}
	if q.giveBack && limit.FixedWindow == nil && limit.TokenBucket == nil {
		return question{}, status.Error(codes.InvalidArgument, "hits are given back to fixed windows and token buckets alone: of others it would have to be known which")
	}
	definition, err := s.definition(limit)
	if err != nil {
		return question{}, status.Error(codes.InvalidArgument, err.Error())
	}
	values := make([]string, len(entries))
	for i, e := range entries {
		values[i] = q.rule.Value(i, e.GetValue())
	}
	q.counts = true
	q.item = item{key: bucketKey(limit, values, config.Allowance{}), Demand: Demand{Definition: definition, Cost: q.hits, ID: rand.Int64N(maxExact / 2), At: now}}
	return q, nil
}

// hits are what a descriptor asks for: its own, or else those of the request, or one.
func hits(r *rlsv3.RateLimitRequest, d *commonv3.RateLimitDescriptor) int64 {
	if own := d.GetHitsAddend(); own != nil {
		return int64(min(own.GetValue(), maxExact))
	}
	return int64(max(r.GetHitsAddend(), 1))
}

// overrideRule is the limit that a request brings with it. It counts as a rule with
// the same entries does, so that both count together.
func overrideRule(domain string, entries []*commonv3.RateLimitDescriptor_Entry, o *commonv3.RateLimitDescriptor_RateLimitOverride) (*limitfiles.Rule, error) {
	unit := ruleUnit(rlsv3.RateLimitResponse_RateLimit_Unit(o.GetUnit()))
	if unit.Length() == 0 {
		return nil, status.Errorf(codes.InvalidArgument, "the unit of its limit is %s, must be one of SECOND, MINUTE, HOUR, DAY, MONTH, YEAR", o.GetUnit())
	}
	return limitfiles.Override(domain, entries, unit, o.GetRequestsPerUnit()), nil
}

// ruleUnits are Envoy's units, as rules call them.
var ruleUnits = map[rlsv3.RateLimitResponse_RateLimit_Unit]limitfiles.Unit{
	rlsv3.RateLimitResponse_RateLimit_SECOND: limitfiles.Second,
	rlsv3.RateLimitResponse_RateLimit_MINUTE: limitfiles.Minute,
	rlsv3.RateLimitResponse_RateLimit_HOUR:   limitfiles.Hour,
	rlsv3.RateLimitResponse_RateLimit_DAY:    limitfiles.Day,
	rlsv3.RateLimitResponse_RateLimit_WEEK:   limitfiles.Week,
	rlsv3.RateLimitResponse_RateLimit_MONTH:  limitfiles.Month,
	rlsv3.RateLimitResponse_RateLimit_YEAR:   limitfiles.Year,
}

func ruleUnit(u rlsv3.RateLimitResponse_RateLimit_Unit) limitfiles.Unit { return ruleUnits[u] }

func envoyUnit(u limitfiles.Unit) rlsv3.RateLimitResponse_RateLimit_Unit {
	for envoys, ours := range ruleUnits {
		if ours == u {
			return envoys
		}
	}
	return rlsv3.RateLimitResponse_RateLimit_UNKNOWN
}

// each answers every question by itself, in order: what one says changes nothing for
// the others. A window is charged whether it has room or not, and everything
// else only where it has. What is not counted has no verdict. The error is Unavailable: Redis does not
// answer, and is not to be done without.
func (l *Limiter) each(ctx context.Context, questions []question, f config.OnStoreFailure) ([]verdict, error) {
	calls := callsOf(questions)
	if len(calls) == 0 {
		return make([]verdict, len(questions)), nil
	}
	results, err := l.answer(ctx, calls, f)
	if err != nil {
		return nil, err
	}
	return verdictsFor(questions, results), nil
}

// callsOf are what the store is asked for questions: a call for each that counts.
func callsOf(questions []question) []call {
	calls := make([]call, 0, len(questions))
	for _, q := range questions {
		if q.counts {
			calls = append(calls, call{op: q.op(), items: []item{q.item}})
		}
	}
	return calls
}

// verdictsFor are those on questions, by the results of callsOf them. There are none of
// these where nothing was counted.
func verdictsFor(questions []question, results [][]Result) []verdict {
	verdicts := make([]verdict, len(questions))
	for i, q := range questions {
		if q.counts && results != nil {
			verdicts[i] = verdict{Result: results[0][0], counted: true}
			results = results[1:]
		}
	}
	return verdicts
}

func (q question) op() op {
	switch {
	case q.giveBack:
		return opRefund
	case q.rule.Limit.FixedWindow != nil:
		return opForce
	}
	return opTake
}

// answer asks the store, or does without it; then there are no results where nothing
// was counted.
func (l *Limiter) answer(ctx context.Context, calls []call, f config.OnStoreFailure) ([][]Result, error) {
	if l.shared == nil {
		return l.local.run(ctx, calls)
	}
	results, err := l.shared.answer(ctx, calls)
	return l.orWithout(ctx, calls, results, err, f)
}

// orWithout is what the store has answered, or else what is done without it.
func (l *Limiter) orWithout(ctx context.Context, calls []call, results [][]Result, err error, f config.OnStoreFailure) ([][]Result, error) {
	switch {
	case err == nil:
		return results, nil
	case f == config.FailDeny:
		return nil, status.Error(codes.Unavailable, "the limits cannot be counted now")
	case f == config.FailAllow:
		return nil, nil
	}
	return l.answerPortion(ctx, calls)
}

// over tells whether the rule of a question is over its limit.
func (q question) over(v verdict) bool {
	switch {
	case q.rule == nil || q.rule.Unlimited || q.giveBack:
		return false
	case !q.counts: // it admits nothing
		return true
	}
	return v.counted && !v.Allowed
}

// remaining is what an answer says is left.
func (q question) remaining(v verdict) uint32 {
	switch {
	case q.rule.Unlimited:
		return math.MaxUint32
	case !v.counted || q.over(v):
		return 0
	}
	return uint32(min(v.Remaining, math.MaxUint32))
}
