package authz

import (
	"context"
	"errors"
	"slices"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/gatewright/gatewright/config"
)

// fakeRouter answers always the same, and remembers what it was asked last.
type fakeRouter struct {
	answer Routed
	err    error
	asked  Unrouted
}

func (f *fakeRouter) Route(_ context.Context, r Unrouted) (Routed, error) {
	f.asked = r
	return f.answer, f.err
}

// unrouted takes from a request what only an Envoy of ours says.
func unrouted(m *authv3.CheckRequest) *authv3.CheckRequest {
	m.Attributes.ContextExtensions = nil
	m.Attributes.Request.Http.Host = "a.example:80"
	return m
}

// forms are the two ways in which an Envoy tells headers.
var forms = map[string]func(hash, path string, lines ...line) *authv3.CheckRequest{"raw": ask, "joined": askJoined}

func TestUnroutedRequests(t *testing.T) {
	public := &Policy{}
	closed := &Policy{AnyOf: []Requirement{{JWT: mainJWT()}}}
	for name, c := range map[string]struct {
		answer Routed
		err    error
		want   Reason
		status int
	}{
		"no route":      {Routed{}, nil, ReasonRouteNotFound, 404},
		"a name alone":  {Routed{Route: "get-users"}, nil, ReasonRouteNotFound, 404},
		"refused":       {Routed{PathRefused: true, Route: "get-users", Policy: public}, nil, ReasonPathRefused, 400},
		"public":        {Routed{Route: "get-users", Policy: public}, nil, ReasonAllowed, 200},
		"closed":        {Routed{Route: "get-users", Policy: closed, Hash: closed.Hash()}, nil, ReasonCredentialMissing, 401},
		"not known now": {Routed{Route: "get-users", Policy: public}, errors.New("no table"), ReasonPolicyUnknown, 503},
	} {
		router := &fakeRouter{answer: c.answer, err: c.err}
		g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Router = router })
		for form, ask := range forms {
			r := g.check(t, unrouted(ask("", "/a?b=c", line{"x-one", "1"}, line{"x-two", "2"}, line{"x-two", "3"})))
			if reasonOf(r) != c.want || statusOf(r) != c.status {
				t.Errorf("%s, %s: %d %s, want %d %s", name, form, statusOf(r), reasonOf(r), c.status, c.want)
			}
			fields := r.GetDynamicMetadata().GetFields()
			if c.status != 404 && c.status != 400 && c.status != 503 && fields["route"].GetStringValue() != "get-users" {
				t.Errorf("%s, %s: the log does not learn the route: %v", name, form, fields)
			}
			if router.asked.Host != "a.example:80" || router.asked.Method != "GET" || router.asked.Path != "/a?b=c" {
				t.Errorf("%s: asked for %+v", form, router.asked)
			}
			for header, want := range map[string]string{"x-one": "1", "x-two": "2,3"} {
				if value, ok := router.asked.Header(header); !ok || value != want {
					t.Errorf("%s: %s is %q %t", form, header, value, ok)
				}
			}
			if _, ok := router.asked.Header("x-none"); ok {
				t.Errorf("%s: a header that is not there", form)
			}
		}
	}
}

// TestOurWordsAreNotLookedPast: who names a policy or a route is judged by that
// or not at all; without a router nobody else is judged.
func TestOurWordsAreNotLookedPast(t *testing.T) {
	router := &fakeRouter{answer: Routed{Route: "get-users", Policy: &Policy{}}}
	g := newGate(t, nil, func(o *Options) { o.Router = router })
	for _, words := range []map[string]string{{"policy": "0123"}, {"route": "get-users"}, {"policy": ""}, {"route": "", "policy": ""}} {
		m := unrouted(ask("", "/a"))
		m.Attributes.ContextExtensions = words
		if r := g.check(t, m); reasonOf(r) != ReasonPolicyUnknown || statusOf(r) != 503 {
			t.Errorf("%v: %d %s", words, statusOf(r), reasonOf(r))
		}
	}
	alone := newGate(t, nil, nil)
	if r := alone.check(t, unrouted(ask("", "/a"))); reasonOf(r) != ReasonPolicyUnknown {
		t.Errorf("without a router: %s", reasonOf(r))
	}
}

func TestUnroutedDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := New(Options{Router: &fakeRouter{err: context.Canceled}})
	r, _ := s.Check(ctx, unrouted(ask("", "/a")))
	if reasonOf(r) != ReasonDeadlineExceeded {
		t.Errorf("%s", reasonOf(r))
	}
}

// TestForgedHeaders: headers that only the gateway may set are taken away in
// every spelling, and are not there for what is judged.
func TestForgedHeaders(t *testing.T) {
	limit := &config.Limit{Name: "by-role", Key: []config.KeyPart{"header:X-User-Role"}}
	policy := &Policy{AnyOf: []Requirement{{JWT: mainJWT()}}, Limits: []*config.Limit{limit}}
	own := []string{"x-user-id", "x-user-role", "x_under-score"}
	router := &fakeRouter{answer: Routed{Route: "get-users", Policy: policy, Hash: policy.Hash(), Own: own}}
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Router = router })
	token := rsaSigner().sign(rsaSigner().header(), payloadOf(map[string]any{"role": nil}))
	for form, ask := range forms {
		r := g.check(t, unrouted(ask("", "/a",
			line{"authorization", "Bearer " + token}, line{"x-user-id", "root"}, line{"x_user-id", "root"},
			line{"X-User-Role", "admin"}, line{"x-under-score", "1"}, line{"x-userid", "other"})))
		if reasonOf(r) != ReasonAllowed {
			t.Fatalf("%s: %s", form, reasonOf(r))
		}
		if got := headersOf(r.GetOkResponse().GetHeaders())["x-user-id"]; got != "alice" {
			t.Errorf("%s: x-user-id is set to %q", form, got)
		}
		want := []string{"authorization", "x-under-score", "x-user-role", "x_user-id"}
		if got := r.GetOkResponse().GetHeadersToRemove(); !slices.Equal(got, want) {
			t.Errorf("%s: removed are %v, want %v", form, got, want)
		}
		if taken := g.limiter.taken[len(g.limiter.taken)-1]; taken[0].Key[0] != "" {
			t.Errorf("%s: counted by %q, which the client says", form, taken[0].Key[0])
		}
	}
}

// TestStrangersOfForeignEnvoys: what no route takes is charged what strangers
// are, and is a 404 or a 429, never a pass.
func TestStrangersOfForeignEnvoys(t *testing.T) {
	policy := &Policy{Strangers: true, Limits: []*config.Limit{limitBy("strangers", "clientIP", "route")}}
	router := &fakeRouter{answer: Routed{Route: "nowhere", Policy: policy, Hash: policy.Hash()}}
	g := newGate(t, nil, func(o *Options) { o.Router = router })
	if r := g.check(t, unrouted(forms["raw"]("", "/a"))); reasonOf(r) != ReasonRouteNotFound {
		t.Errorf("with room: %s", reasonOf(r))
	}
	if taken := g.limiter.taken; len(taken) != 1 || !slices.Equal(taken[0][0].Key, []string{"192.0.2.7", "nowhere"}) {
		t.Errorf("charged: %+v", taken)
	}
	g.limiter.answer = LimitResult{Limit: "strangers", Capacity: 1}
	if r := g.check(t, unrouted(forms["raw"]("", "/a"))); reasonOf(r) != ReasonRateLimited {
		t.Errorf("without room: %s", reasonOf(r))
	}
	router.answer = Routed{HostRefused: true}
	if r := g.check(t, unrouted(forms["raw"]("", "/a"))); reasonOf(r) != ReasonHostRefused || r.GetDeniedResponse().GetStatus().GetCode() != 400 {
		t.Errorf("a host that is none: %s", reasonOf(r))
	}
}

// TestStrangersOfOurEnvoys: the answer is their Envoy's, and so is the reason.
func TestStrangersOfOurEnvoys(t *testing.T) {
	g := newGate(t, nil, nil)
	hash := g.publish(&Policy{Strangers: true, Limits: []*config.Limit{limitBy("strangers", "clientIP")}})
	r := g.check(t, forms["raw"](hash, "/a"))
	if r.GetOkResponse() == nil || r.GetDynamicMetadata().GetFields()["reason"] != nil || r.GetDynamicMetadata().GetFields()["limit"] == nil {
		t.Errorf("%v", r)
	}
	g.limiter.answer = LimitResult{Limit: "strangers", Capacity: 1}
	if r := g.check(t, forms["raw"](hash, "/a")); reasonOf(r) != ReasonRateLimited {
		t.Errorf("without room: %s", reasonOf(r))
	}
}

// TestJoinedLimitHeaders: an Envoy that joins the lines of a header hides that
// there are two.
func TestJoinedLimitHeaders(t *testing.T) {
	policy := &Policy{Limits: []*config.Limit{{Name: "l", Key: []config.KeyPart{"header:X-Region"}}}}
	g := newGate(t, nil, nil)
	hash := g.publish(policy)
	for form, want := range map[string]Reason{"raw": ReasonAllowed, "joined": ReasonDuplicateHeader} {
		if r := g.check(t, forms[form](hash, "/", line{"x-region", "a,b"})); reasonOf(r) != want {
			t.Errorf("%s: %s, want %s", form, reasonOf(r), want)
		}
	}
}
