package ratelimit

import (
	"context"
	"slices"

	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/limitfiles"
)

// Domain is the one of the limits in Gatewright's config.
const Domain = limitfiles.OwnDomain

// maxDescriptors bounds what one call may ask of Redis' single thread.
const maxDescriptors = 64

// Limits finds a limit by its name; nil says that there is none.
type Limits func(name string) *config.Limit

// Service is Envoy's standard RateLimitService on the same buckets as Take. A
// request that cannot be counted is a gRPC error, on which an Envoy with
// failure_mode_deny refuses: it is never answered with OK.
//
//	InvalidArgument  another domain, no or too many descriptors, an entry that
//	                 is no part of the limit's key
//	NotFound         a limit that the config does not have
//	Unavailable      Redis is down, and a limit has onStoreFailure: deny
type Service struct {
	rlsv3.UnimplementedRateLimitServiceServer
	limiter *Limiter
	limits  Limits
	// Headers is by which headers answers tell of limits. Nil is by those of ietf.
	Headers func() config.RateLimitHeaders
	// Rules answer for all domains but Domain. Nil: there is no other.
	Rules *Rules
	// Trace begins a span of a call whose request is recorded, below that of the
	// context. The span is nil where it is not. Nil begins none.
	Trace func(ctx context.Context, name string) (context.Context, trace.Span)
}

// NewService returns the service; the caller registers it with a gRPC server.
func NewService(limiter *Limiter, limits Limits) *Service {
	return &Service{limiter: limiter, limits: limits}
}

// ShouldRateLimit charges all descriptors or none; but in a domain of Rules each by itself.
func (s *Service) ShouldRateLimit(ctx context.Context, r *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	if traced, span := s.trace(ctx); span != nil {
		return s.answerTraced(traced, span, r)
	}
	return s.answerAny(ctx, r)
}

// answerAny is ShouldRateLimit for every domain, without a span.
func (s *Service) answerAny(ctx context.Context, r *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	if s.byRules(r) {
		return s.answerByRules(ctx, r)
	}
	return s.answer(ctx, r)
}

// answer is ShouldRateLimit for Domain.
func (s *Service) answer(ctx context.Context, r *rlsv3.RateLimitRequest) (*rlsv3.RateLimitResponse, error) {
	var room chargeRoom
	charges, err := s.charges(r, &room)
	if err != nil {
		return nil, err
	}
	return s.answerCharges(ctx, charges, new(wireResponse))
}

// answerCharges answers in memory that there is.
func (s *Service) answerCharges(ctx context.Context, charges []Charge, w *wireResponse) (*rlsv3.RateLimitResponse, error) {
	decision, verdicts := s.limiter.decide(ctx, charges)
	return s.say(decision, charges, verdicts, w)
}

// say says a decision in memory that there is. The error is Unavailable.
func (s *Service) say(d Decision, charges []Charge, verdicts []verdict, w *wireResponse) (*rlsv3.RateLimitResponse, error) {
	if d.Unavailable {
		return nil, status.Error(codes.Unavailable, "the limit cannot be counted now")
	}
	return w.say(d, charges, verdicts, s.headers()), nil
}

func (s *Service) byRules(r *rlsv3.RateLimitRequest) bool {
	return s.Rules != nil && r.GetDomain() != Domain
}

func (s *Service) headers() config.RateLimitHeaders {
	if s.Headers == nil {
		return config.HeadersIETF
	}
	return s.Headers()
}

// chargeRoom is memory for the charges of a request. The zero value is ready.
type chargeRoom struct {
	charges []Charge
	values  []string // of their keys
}

// charges are those of the request's descriptors, in their order. They are in room, until
// it is used for the next.
func (s *Service) charges(r *rlsv3.RateLimitRequest, room *chargeRoom) ([]Charge, error) {
	descriptors := r.GetDescriptors()
	switch {
	case r.GetDomain() != Domain:
		return nil, status.Errorf(codes.InvalidArgument, "domain %q, must be %q", clipped(r.GetDomain()), Domain)
	case len(descriptors) == 0:
		return nil, status.Error(codes.InvalidArgument, "no descriptor: there is nothing to count")
	case len(descriptors) > maxDescriptors:
		return nil, status.Errorf(codes.InvalidArgument, "%d descriptors, at most %d", len(descriptors), maxDescriptors)
	}
	charges := slices.Grow(room.charges[:0], len(descriptors))
	room.values = room.values[:0]
	for i, d := range descriptors {
		c, err := charge(d, r.GetHitsAddend(), s.limits, &room.values)
		if err != nil {
			return nil, status.Errorf(status.Code(err), "descriptor %d: %s", i, status.Convert(err).Message())
		}
		charges = append(charges, c)
	}
	room.charges = charges
	return charges, nil
}
