package authz

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
)

// behindBreaker is a policy whose requests to users-v1 pass a breaker.
func behindBreaker(limits ...*config.Limit) *Policy {
	return &Policy{Breakers: []BackendBreaker{{Backend: "users-v1"}}, Limits: limits}
}

// newBreakerGate has a breaker that answers so.
func newBreakerGate(t *testing.T, answer Admission, change func(*Options)) (*gate, *fakeBreaker) {
	t.Helper()
	b := &fakeBreaker{answer: answer}
	return newGate(t, keySetsFor(t, mainJWT()), func(o *Options) {
		o.Breaker = b
		if change != nil {
			change(o)
		}
	}), b
}

// TestOpenBreakerDenies: at once, with when to come again, in either form of the reply.
func TestOpenBreakerDenies(t *testing.T) {
	for after, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", 30 * time.Second: "30"} {
		g, b := newBreakerGate(t, Admission{Denied: true, RetryAfter: after}, nil)
		m := ask(g.publish(behindBreaker(limitBy("ip", "clientIP"))), "/")
		var wired authv3.CheckResponse
		if err := proto.Unmarshal(overTheWire(t, g.server, must(proto.Marshal(asEnvoySends(m))), nil), &wired); err != nil {
			t.Fatal(err)
		}
		for _, r := range []*authv3.CheckResponse{g.check(t, m), &wired} {
			if allows(r) || statusOf(r) != 503 || reasonOf(r) != ReasonCircuitOpen || codes.Code(r.GetStatus().GetCode()) != codes.Unavailable {
				t.Errorf("after %v: %v", after, r)
			}
			if got := r.GetDynamicMetadata().GetFields()["broken"].GetStringValue(); got != "users-v1" {
				t.Errorf("the backend whose breaker is open is %q to the log", got)
			}
			if got := deniedHeader(r, "retry-after"); got != want {
				t.Errorf("after %v: Retry-After %q, want %s", after, got, want)
			}
			var body problemDocument
			if err := json.Unmarshal([]byte(r.GetDeniedResponse().GetBody()), &body); err != nil || body.Reason != "circuit-open" || body.Status != 503 {
				t.Errorf("body %s (%v)", r.GetDeniedResponse().GetBody(), err)
			}
		}
		if len(g.limiter.taken) > 0 {
			t.Errorf("a 503 of the breaker was charged: %v", g.limiter.taken)
		}
		if want := []string{"get-users/users-v1", "get-users/users-v1"}; !slices.Equal(b.asked, want) {
			t.Errorf("asked %v, want %v", b.asked, want)
		}
	}
}

// TestBreakerComesAfterIdentity: whoever may not learns nothing of a backend, and
// holds no probe; and so does whoever is over a limit of addresses.
func TestBreakerComesAfterIdentity(t *testing.T) {
	g, b := newBreakerGate(t, Admission{Denied: true}, nil)
	p := behindBreaker(limitBy("ip", "clientIP"))
	p.AnyOf = []Requirement{{JWT: mainJWT()}}
	hash := g.publish(p)
	if r := g.check(t, ask(hash, "/")); reasonOf(r) != ReasonCredentialMissing {
		t.Errorf("without a credential: %s", reasonOf(r))
	}
	g.limiter.known = LimitResult{Limit: "ip", RetryAfter: time.Second}
	if r := g.check(t, ask(hash, "/", withToken(rsaSigner().token(nil)))); reasonOf(r) != ReasonRateLimited {
		t.Errorf("over a limit: %s", reasonOf(r))
	}
	if len(b.asked) > 0 {
		t.Errorf("the breaker was asked: %v", b.asked)
	}
	g.limiter.known = LimitResult{}
	if r := g.check(t, ask(hash, "/", withToken(rsaSigner().token(nil)))); reasonOf(r) != ReasonCircuitOpen {
		t.Errorf("who may: %s", reasonOf(r))
	}
}

// TestProbeIsHandedOn to the access log stream, and nowhere else.
func TestProbeIsHandedOn(t *testing.T) {
	g, b := newBreakerGate(t, Admission{Probe: "users-v1.7.abc"}, nil)
	r := g.check(t, ask(g.publish(behindBreaker()), "/"))
	if got := r.GetDynamicMetadata().GetFields()["probe"].GetStringValue(); !allows(r) || got != "users-v1.7.abc" {
		t.Errorf("metadata %v", r.GetDynamicMetadata())
	}
	if len(r.GetOkResponse().GetHeaders())+len(r.GetOkResponse().GetResponseHeadersToAdd()) > 0 || len(b.canceled) > 0 {
		t.Errorf("it goes to the backend or the client, or back: %v, %v", r.GetOkResponse(), b.canceled)
	}
}

// TestProbeIsGivenBack where its request goes to no backend after all.
func TestProbeIsGivenBack(t *testing.T) {
	for name, answer := range map[string]LimitResult{
		"over a limit": {Limit: "ip", RetryAfter: time.Second}, "no store": {StoreDown: true},
	} {
		g, b := newBreakerGate(t, Admission{Probe: "p"}, nil)
		g.limiter.answer = answer
		r := g.check(t, ask(g.publish(behindBreaker(limitBy("ip", "clientIP"))), "/"))
		if allows(r) || !slices.Equal(b.canceled, []string{"p"}) {
			t.Errorf("%s: %v, given back %v", name, r, b.canceled)
		}
		if r.GetDynamicMetadata().GetFields()["probe"] != nil {
			t.Errorf("%s: the log still tells of the probe", name)
		}
	}
	g, b := newBreakerGate(t, Admission{Probe: "p"}, func(o *Options) { o.Limiter = panics{} })
	if r := g.check(t, ask(g.publish(behindBreaker(limitBy("ip", "clientIP"))), "/")); reasonOf(r) != ReasonInternal || !slices.Equal(b.canceled, []string{"p"}) {
		t.Errorf("in a panic: %s, given back %v", reasonOf(r), b.canceled)
	}
}

type panics struct{ absent }

func (panics) Take(context.Context, []Charge) LimitResult { panic("a fault of the test's own") }

// TestProbeOfWhomEnvoyHasGivenUp: before the breaker is asked, and while the request is
// charged.
func TestProbeOfWhomEnvoyHasGivenUp(t *testing.T) {
	b := &fakeBreaker{answer: Admission{Probe: "p"}}
	policy := behindBreaker(limitBy("ip", "clientIP"))
	ctx, cancel := context.WithCancel(t.Context())
	limiter := &cancels{cancel: cancel}
	limiter.answer = LimitResult{Allowed: true, Limit: "ip"}
	s := New(Options{Policies: knownPolicies{policy.Hash(): policy}, Limiter: limiter, Breaker: b})
	rq := newRequest(ask(policy.Hash(), "/"))
	if v := s.judge(ctx, rq); v.Reason != ReasonDeadlineExceeded || !slices.Equal(b.canceled, []string{"p"}) {
		t.Errorf("%s, given back %v", v.Reason, b.canceled)
	}
	if v := s.judge(ctx, rq); v.Reason != ReasonDeadlineExceeded || len(b.asked) != 1 {
		t.Errorf("%s, asked %v", v.Reason, b.asked)
	}
}

// TestBreakerInShadow denies nobody; the log tells of it, and limits are charged.
func TestBreakerInShadow(t *testing.T) {
	g, _ := newBreakerGate(t, Admission{Shadow: true}, nil)
	r := g.check(t, ask(g.publish(behindBreaker(limitBy("ip", "clientIP"))), "/"))
	if !allows(r) || r.GetDynamicMetadata().GetFields()["shadow"].GetStringValue() != "circuit-open" || len(g.limiter.taken) != 1 {
		t.Errorf("%v, charged %v", r, g.limiter.taken)
	}
}

// TestLimitsInFilterBehindABreaker: they are not asked for either.
func TestLimitsInFilterBehindABreaker(t *testing.T) {
	g, b := newBreakerGate(t, Admission{Denied: true}, nil)
	p := behindBreaker(limitBy("ip", "clientIP"))
	p.LimitsInFilter = true
	hash := g.publish(p)
	if r := g.check(t, ask(hash, "/")); allows(r) || r.GetDynamicMetadata().GetFields()["limit_keys"] != nil {
		t.Errorf("%v", r)
	}
	b.answer = Admission{Probe: "p"}
	if r := g.check(t, ask(hash, "/")); !allows(r) || r.GetDynamicMetadata().GetFields()["limit_keys"] == nil || r.GetDynamicMetadata().GetFields()["probe"] == nil {
		t.Errorf("%v", r)
	}
}

// TestWhichBreaker: that of the picked backend, if it has one.
func TestWhichBreaker(t *testing.T) {
	g, b := newBreakerGate(t, Admission{Denied: true}, nil)
	hash := g.publish(&Policy{Breakers: []BackendBreaker{{Backend: "users-v2"}, {Backend: "users-v3"}}})
	for backend, open := range map[string]bool{"users-v1": false, "users-v2": true, "users-v3": true, "": false} {
		m := ask(hash, "/")
		m.Attributes.ContextExtensions["backend"] = backend
		if r := g.check(t, m); allows(r) == open {
			t.Errorf("%q: %v", backend, r)
		}
	}
	if len(b.asked) != 2 {
		t.Errorf("asked %v", b.asked)
	}
}

// TestBreakerOfAnotherEnvoysRequest: which backend it has picked it does not say. It is
// known where there is one.
func TestBreakerOfAnotherEnvoysRequest(t *testing.T) {
	only := behindBreaker()
	only.OnlyBackend = "users-v1"
	split := &Policy{Breakers: []BackendBreaker{{Backend: "users-v1"}, {Backend: "users-v2"}}}
	routes := routed{"/only": only, "/split": split}
	g, b := newBreakerGate(t, Admission{Denied: true}, func(o *Options) { o.Router = routes })
	askFor := func(path string) *authv3.CheckRequest {
		m := askUnrouted()
		m.Attributes.Request.Http.Path = path
		return m
	}
	r := g.check(t, askFor("/only"))
	data := r.GetDynamicMetadata().GetFields()
	if reasonOf(r) != ReasonCircuitOpen || data["route"].GetStringValue() != "/only" || data["backend"].GetStringValue() != "users-v1" {
		t.Errorf("%v", r)
	}
	b.answer = Admission{Probe: "p"}
	if data := g.check(t, askFor("/only")).GetDynamicMetadata().GetFields(); data["probe"].GetStringValue() != "p" || data["backend"].GetStringValue() != "users-v1" {
		t.Errorf("%v", data)
	}
	if r := g.check(t, askFor("/split")); !allows(r) {
		t.Errorf("%v", r)
	}
	if want := []string{"/only/users-v1", "/only/users-v1"}; !slices.Equal(b.asked, want) {
		t.Errorf("asked %v, want %v", b.asked, want)
	}
}

// routed is a Router whose routes are called by their paths.
type routed map[string]*Policy

func (r routed) Route(_ context.Context, u Unrouted) (Routed, error) {
	return Routed{Route: u.Path, Policy: r[u.Path], Hash: r[u.Path].Hash()}, nil
}

// TestRespondInPlaceOfABackend: the answer of the config, which a call of gRPC could
// not read.
func TestRespondInPlaceOfABackend(t *testing.T) {
	g, _ := newBreakerGate(t, Admission{Denied: true, RetryAfter: 5 * time.Second}, nil)
	hash := g.publish(&Policy{Breakers: []BackendBreaker{
		{Backend: "empty", Respond: &config.Respond{Status: 200, Body: "[]", Headers: map[string]string{"Content-Type": "application/json"}}},
		{Backend: "sorry", Respond: &config.Respond{Status: 503, Body: "later"}},
		{Backend: "own", Respond: &config.Respond{Status: 503, Headers: map[string]string{"Retry-After": "60"}}},
	}})
	answer := func(backend, contentType string) *authv3.CheckResponse {
		m := ask(hash, "/", line{"content-type", contentType})
		m.Attributes.ContextExtensions["backend"] = backend
		r := g.check(t, m)
		if allows(r) || reasonOf(r) != ReasonCircuitOpen || codes.Code(r.GetStatus().GetCode()) != codes.Unavailable {
			t.Errorf("%s: %v", backend, r)
		}
		return r
	}
	r := answer("empty", "application/json")
	if statusOf(r) != 200 || r.GetDeniedResponse().GetBody() != "[]" || deniedHeader(r, "Content-Type") != "application/json" || deniedHeader(r, "retry-after") != "" {
		t.Errorf("%v", r)
	}
	if r := answer("sorry", ""); statusOf(r) != 503 || r.GetDeniedResponse().GetBody() != "later" || deniedHeader(r, "retry-after") != "5" {
		t.Errorf("%v", r)
	}
	if r := answer("own", "application/grpcish"); deniedHeader(r, "retry-after") != "" || deniedHeader(r, "Retry-After") != "60" {
		t.Errorf("%v", r)
	}
	for _, contentType := range []string{"application/grpc", "application/grpc+proto", "Application/gRPC;x=y"} {
		if r := answer("empty", contentType); statusOf(r) != 503 || deniedHeader(r, "retry-after") != "5" {
			t.Errorf("%s: %v", contentType, r)
		}
	}
}

// TestBreakersOfARoute: those of its backends. When they open is not the policy's.
func TestBreakersOfARoute(t *testing.T) {
	c := shop()
	c.Backends = map[string]*config.Backend{
		"a": {Name: "a", Breaker: &config.Breaker{}},
		"b": {Name: "b"},
		"c": {Name: "c", Breaker: &config.Breaker{Fallback: &config.BreakerFallback{Respond: &config.Respond{Status: 200}}}},
	}
	to := func(names ...string) *config.Route {
		r := &config.Route{Auth: &config.RouteAuth{Public: true}}
		for _, n := range names {
			r.To = append(r.To, &config.Destination{Backend: n})
		}
		return r
	}
	if p := NewPolicy(c, to("b"), false); p.Needed() || p.OnlyBackend != "" {
		t.Errorf("without a breaker: %+v", p)
	}
	if p := NewPolicy(c, to("a", "b"), false); !p.Needed() || len(p.Breakers) != 1 || p.OnlyBackend != "" {
		t.Errorf("one of two has a breaker: %+v", p)
	}
	if p := NewPolicy(c, to("c"), true); p.OnlyBackend != "c" || p.Breakers[0].Respond.Status != 200 || p.LimitsInFilter {
		t.Errorf("%+v", p)
	}
	before := NewPolicy(c, to("a"), false).Hash()
	c.Backends["a"].Breaker = &config.Breaker{MinRequests: 1, Window: 1, Mode: config.ModeShadow}
	if NewPolicy(c, to("a"), false).Hash() != before {
		t.Error("when a breaker opens changed the policy")
	}
	c.Backends["a"].Breaker.Fallback = &config.BreakerFallback{Respond: &config.Respond{Status: 404}}
	if NewPolicy(c, to("a"), false).Hash() == before {
		t.Error("what it answers did not change the policy")
	}
}
