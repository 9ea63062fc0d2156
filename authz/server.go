package authz

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
)

var (
	// errAbsent: the server was built without a key store.
	errAbsent = errors.New("there is no key store")
	// errPolicyUnknown: Envoy runs a config that this process does not have.
	errPolicyUnknown = errors.New("no such policy")
)

// unknownRoute is the label of requests whose route is not in the config.
const unknownRoute = "unknown"

// Options are what a Server is built from.
type Options struct {
	// Policies are those that a route may name. Required.
	Policies PolicySource
	// Router finds the routes of requests that name no policy. Nil: each of them
	// is a 503.
	Router Router
	// KeySets hold the issuers' keys. Nil: every token is a 503.
	KeySets *KeySets
	// Introspectors ask issuers about opaque tokens. Nil: each of them is a 503.
	Introspectors *Introspectors
	// Limiter charges limits. Nil: every limited route is a 503.
	Limiter Limiter
	// Breaker tells whether requests may go to backends that have a breaker. Nil
	// lets them.
	Breaker Breaker
	// KeyFinder finds API keys. Nil: every API key is a 503.
	KeyFinder KeyFinder
	// Tokens is how many tokens that have been verified are remembered, so that
	// their signatures are not verified again. 0 is none.
	Tokens int
	// TokenRevoked tells of the claims of a token that holds whether it has been
	// taken back. It is asked for every request, and must not block. An error
	// says that it cannot tell: the request is then a 503. Nil is never.
	TokenRevoked func(claims map[string]any) (bool, error)
	// Tenant is what is agreed on with a customer, by the tenant's name. It is asked
	// for every request of a tenant's, and must not block. Nil knows none.
	Tenant func(name string) Tenant
	// KnownPlan tells whether some limit of the config names a plan; of others the
	// log and the metrics tell. Nil knows all.
	KnownPlan func(plan string) bool
	// ClientIPKey turns a client's address into what limits count by, as an
	// IPv6 address into its prefix of so many bits. Nil counts by the address as
	// Envoy writes it.
	ClientIPKey func(address string, bits int) string
	// Challenge is what an authority is to find under a token. It must not block. Nil
	// knows none.
	Challenge func(token string) (keyAuthorization string, ok bool)
	// KnownRoute bounds the label "route" of the metrics: other routes are
	// counted as "unknown". Nil knows none.
	KnownRoute func(route string) bool
	// Trace begins a span of a Check whose request is recorded, below that of the
	// context. The span is nil where it is not. Nil begins none.
	Trace func(ctx context.Context, name string) (context.Context, trace.Span)
	// Epoch is what stands for the keys and revocations that a policy's verdicts depend
	// on now, by the policy's hash: an Envoy that has the same from Gatewright's config may
	// remember such a verdict. Two answers with one generation say that none of them has
	// changed between. It must not block. Empty: nothing is to be remembered. Nil is always
	// empty.
	Epoch func(policy string) (epoch string, generation uint64)
	// Version is that of the config that is served, for the log. Nil is not known.
	Version func() string
	// Clock is the time that tokens are judged at. Nil is time.Now.
	Clock func() time.Time
	// Log is where trouble is told. Nil discards it.
	Log *slog.Logger
	// Registerer takes the metrics. Nil registers none.
	Registerer prometheus.Registerer
}

// Server judges requests for Envoy's ext_authz filter.
type Server struct {
	authv3.UnimplementedAuthorizationServer

	policies PolicySource
	router   Router
	keySets  *KeySets
	// introspectors is never nil.
	introspectors *Introspectors
	limiter       Limiter
	breaker       Breaker // nil lets every request pass
	finder        KeyFinder
	tokens        *tokenTable
	certificates  certificateTable
	revoked       func(map[string]any) (bool, error)
	tenant        func(string) Tenant
	plans         *unknownPlans
	clientIPKey   func(string, int) string
	challenge     func(string) (string, bool)
	knownRoute    func(string) bool
	trace         func(context.Context, string) (context.Context, trace.Span)
	epoch         func(string) (string, uint64)
	version       func() string
	clock         func() time.Time
	log           *slog.Logger
	metrics       *checkMetrics
	shadow        *shadowCounts
	validating    *semaphore.Weighted
	troubles      sparingly
}

// New returns a Server. What is not given denies, see Options.
func New(o Options) *Server {
	s := &Server{
		policies:      o.Policies,
		router:        o.Router,
		keySets:       o.KeySets,
		introspectors: o.Introspectors,
		limiter:       o.Limiter,
		breaker:       o.Breaker,
		finder:        o.KeyFinder,
		tokens:        newTokenTable(o.Tokens, o.Registerer),
		revoked:       o.TokenRevoked,
		tenant:        o.Tenant,
		plans:         newUnknownPlans(o.KnownPlan, o.Registerer),
		clientIPKey:   o.ClientIPKey,
		challenge:     o.Challenge,
		knownRoute:    o.KnownRoute,
		trace:         o.Trace,
		epoch:         o.Epoch,
		version:       o.Version,
		clock:         o.Clock,
		log:           o.Log,
		metrics:       newCheckMetrics(o.Registerer),
		shadow:        newShadowCounts(o.Registerer),
		validating:    semaphore.NewWeighted(maxValidating),
	}
	s.fillAbsent()
	return s
}

func (s *Server) fillAbsent() {
	if s.keySets == nil {
		s.keySets = &KeySets{}
	}
	if s.introspectors == nil {
		s.introspectors = NewIntrospectors(IntrospectorsOptions{})
	}
	if s.limiter == nil {
		s.limiter = absent{}
	}
	if s.finder == nil {
		s.finder = absent{}
	}
	if s.clientIPKey == nil {
		s.clientIPKey = func(address string, _ int) string { return address }
	}
	if s.challenge == nil {
		s.challenge = func(string) (string, bool) { return "", false }
	}
	if s.knownRoute == nil {
		s.knownRoute = func(string) bool { return false }
	}
	if s.trace == nil {
		s.trace = func(ctx context.Context, _ string) (context.Context, trace.Span) { return ctx, nil }
	}
	if s.epoch == nil {
		s.epoch = func(string) (string, uint64) { return "", 0 }
	}
	if s.version == nil {
		s.version = func() string { return "" }
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
}

// Check implements envoy.service.auth.v3.Authorization. It never returns an
// error: whatever happens, the reply says what Envoy is to answer.
func (s *Server) Check(ctx context.Context, m *authv3.CheckRequest) (response *authv3.CheckResponse, _ error) {
	began := time.Now()
	rq := newRequest(m)
	defer func() {
		if fault := recover(); fault != nil {
			response = reply(s.afterPanic(rq, fault))
		}
	}()
	return reply(s.verdict(ctx, rq, began)), nil
}

// verdict judges a request and tells metrics and log of it.
func (s *Server) verdict(ctx context.Context, rq *request, began time.Time) Verdict {
	ctx, span := s.trace(ctx, "Check")
	v := s.told(rq, func() Verdict { return s.judge(ctx, rq) })
	if span != nil {
		tellSpan(span, rq, v)
	}
	s.observe(rq, v, time.Since(began))
	return v
}

// afterPanic turns a panic into a denial.
func (s *Server) afterPanic(rq *request, fault any) Verdict {
	s.log.Error("judging a request panicked",
		"route", rq.route, "fault", fault, "stack", string(debug.Stack()))
	s.metrics.count(unknownRoute, ReasonInternal)
	return Verdict{Reason: ReasonInternal, Policy: rq.policy}
}

// judge judges a request by its policy. One whose Envoy is not ours still has
// the headers that our own listeners take away.
func (s *Server) judge(ctx context.Context, rq *request) Verdict {
	policy, refused := s.policyOf(ctx, rq)
	v := Verdict{Policy: rq.policy, version: s.version()}
	if refused != nil {
		return v.denied(refused)
	}
	if v = s.judgeBy(ctx, rq, policy, v); rq.unrouted {
		v.Route = rq.route
		v = v.withoutForged(rq)
		if v.stranger && v.Reason == ReasonAllowed {
			v = v.denied(refuse(ReasonRouteNotFound)) // its Envoy might have a route
		}
	} else {
		v = v.rerouted(rq, policy)
	}
	v.call = v.Reason != ReasonAllowed && rq.isGRPC()
	return v.inOwnBody(rq, policy.Errors)
}

// judgeBy is the order of all checks: form of the request, limits that are known
// to be used up, identity, breaker, limits, document. The first that fails is the verdict, so
// that a breaker that is open charges no limit; and where that is identity, limits
// that need none are charged, which may be a denial before it.
func (s *Server) judgeBy(ctx context.Context, rq *request, policy *Policy, v Verdict) Verdict {
	if policy.Challenges {
		return s.answerChallenge(rq, v)
	}
	v.stranger, v.limitHeaders = policy.Strangers, policy.RateLimitHeaders
	meters := policy.limiting()
	refused := rq.countable(meters)
	if refused != nil {
		return v.denied(refused)
	}
	counted := s.countOf(rq)
	known := counted.withoutCaller(meters)
	if denied, ok := s.recall(known); ok && !rq.countedInEnvoy(policy) {
		return v.limited(denied)
	}
	if !policy.Public() || len(policy.Shadow) > 0 {
		if v, refused = s.authenticate(ctx, rq, policy, v); refused != nil {
			return s.chargeUnidentified(ctx, known, v.denied(refused))
		}
	}
	v.Reroute = rq.side(policy.Split, &v.Identity)
	// A request that Envoy has given up must not be charged.
	if ctx.Err() != nil {
		return v.denied(refuse(ReasonDeadlineExceeded))
	}
	if v = s.admit(rq, policy, v); v.Admission.Denied {
		return v
	}
	if v.Admission.Probe != "" {
		return s.limitProbe(ctx, counted, known, policy, v)
	}
	return s.validate(ctx, rq, policy, s.limit(ctx, counted, known, policy, v))
}

// limit charges a request whose caller may, or hands what it would be charged to
// Envoy's filter. known are the charges for which it does not matter who the caller
// is.
func (s *Server) limit(ctx context.Context, counted count, known []Charge, policy *Policy, v Verdict) Verdict {
	counted = counted.identified(&v.Identity, s.agreed(policy, &v))
	charges := counted.all(policy.limiting(), known)
	switch {
	case len(charges) == 0:
		v.Reason = ReasonAllowed
	case counted.rq.countedInEnvoy(policy):
		return v.countingInEnvoy(policy, charges[0])
	case policy.LimitsInFilter:
		v.LimitKeys, v.LimitPlans, v.LimitCosts = limitKeys(charges, counted.rq), limitPlans(charges), limitCosts(charges)
		v.Reason = ReasonAllowed
	default:
		return s.take(ctx, charges, v)
	}
	return v
}

// take charges a request whose caller may. One that Envoy has given up meanwhile is
// not in flight: nobody will tell of its end.
func (s *Server) take(ctx context.Context, charges []Charge, v Verdict) Verdict {
	r := s.limiter.Take(ctx, charges)
	if len(r.Handles) > 0 && ctx.Err() != nil {
		s.limiter.Release(r.Handles)
		return v.denied(refuse(ReasonDeadlineExceeded))
	}
	return v.limited(r)
}

// authenticate returns the verdict with the caller in it, or why there is none.
// What is in shadow is judged after the requirements that decide, and cannot
// change what they have decided.
func (s *Server) authenticate(ctx context.Context, rq *request, p *Policy, v Verdict) (Verdict, *refusal) {
	shown, refused := readCredentials(rq, p)
	if refused != nil {
		return v, refused
	}
	shadow, refused := readInShadow(rq, p)
	if refused != nil {
		return v, refused
	}
	found, none := s.callerBy(ctx, shown, p, s.clock())
	if shadow.policy != nil {
		who, result := s.judgeInShadow(ctx, rq, shadow)
		s.shadow.add(s.routeLabel(rq.route), none == nil, result)
		v.shadow = result
		if p.Public() && who != nil {
			found = who
		}
	}
	if none != nil {
		v.Challenge = challenge(p, none)
		if none.known != nil {
			v.Identity = none.known.Identity // for the log: who may not
		}
		return v, none.refusal
	}
	all := p.Reads()
	v.Identity = found.Identity
	v.headers = found.headers
	v.certificate, v.expires = certificateTold(rq, found), tokenAlone(p, found)
	v.removeHeaders = removedHeaders(all, found)
	v.removeQuery = removedQuery(all, found)
	v.told, refused = told(&found.Identity, p.Tells)
	return v, refused
}

// callerBy is who the caller is by the policy's requirements, nobody where it
// asks for none, or why it is none whom they let pass.
func (s *Server) callerBy(ctx context.Context, c *credentials, p *Policy, now time.Time) (*caller, *unidentified) {
	if p.Public() || p.AllowAnonymous && c.none() {
		return &caller{}, nil
	}
	return s.identify(ctx, c, p, now)
}

// routeLabel is a route as metrics name it.
func (s *Server) routeLabel(route string) string {
	if s.knownRoute(route) {
		return route
	}
	return unknownRoute
}

func (s *Server) observe(rq *request, v Verdict, took time.Duration) {
	reason := v.Reason
	if reason != ReasonAllowed {
		reason, _ = problemOf(reason)
	}
	if !v.countedAtItsEnd() {
		s.metrics.count(s.routeLabel(rq.route), reason)
	}
	s.metrics.seconds.Observe(took.Seconds())
	if v.cause != nil && s.troubles.due(time.Now()) {
		s.log.Error("a request could not be judged",
			"route", rq.route, "policy", rq.policy, "reason", reason, "error", v.cause)
	}
}
