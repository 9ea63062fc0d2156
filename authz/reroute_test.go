package authz

import (
	"slices"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/split"
)

// byCaller is a policy that keeps callers on their side of a split, of which half
// is each side's.
func byCaller(sticky ...config.StickyPart) *Policy {
	return &Policy{
		AnyOf: []Requirement{{JWT: mainJWT()}}, AllowAnonymous: true,
		Split: &Split{Claim: "group", Pins: map[string]string{"testers": "users-v2", "7": "users-v1"}, Sticky: sticky, Line: split.Line{{Backend: "users-v1", Width: split.Points / 2}, {Backend: "users-v2", Width: split.Points / 2}}},
	}
}

// picked is a request for which Envoy has picked a backend.
func picked(m *authv3.CheckRequest, backend string) *authv3.CheckRequest {
	m.Attributes.ContextExtensions["backend"] = backend
	return m
}

// sentTo is what Envoy is told of a backend, in either form of the reply.
func sentTo(t *testing.T, g *gate, m *authv3.CheckRequest) string {
	t.Helper()
	m = asEnvoySends(m)
	var wired authv3.CheckResponse
	if err := proto.Unmarshal(overTheWire(t, g.server, must(proto.Marshal(m)), nil), &wired); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, r := range []*authv3.CheckResponse{g.check(t, m), &wired} {
		if !allows(r) {
			t.Fatalf("denied: %v", r)
		}
		value := ""
		for _, option := range r.GetOkResponse().GetHeaders() {
			if option.GetHeader().GetKey() == config.RerouteHeader {
				value += option.GetHeader().GetValue()
			}
		}
		told = append(told, value)
	}
	if told[0] != told[1] {
		t.Fatalf("%q by the message, %q by the wire", told[0], told[1])
	}
	return told[0]
}

// TestSideIsTold where it is another than Envoy's, and nothing where it is the same.
func TestSideIsTold(t *testing.T) {
	t.Parallel()
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	hash := g.publish(byCaller("user", "header:X-Device", "cookie:session", "claim:plan", "clientIP"))
	who := func(claims map[string]any) line { return withToken(rsaSigner().token(claims)) }
	side := func(values ...string) string {
		return map[bool]string{true: "users-v1", false: "users-v2"}[split.Point(values...) < split.Points/2]
	}
	for name, c := range map[string]struct {
		lines []line
		want  string
	}{
		"the user":                 {[]line{who(map[string]any{"sub": "bob"}), {"x-device", "d1"}}, side("main:bob")},
		"another":                  {[]line{who(map[string]any{"sub": "carol"}), {"x-device", "d1"}}, side("main:carol")},
		"nobody's device":          {[]line{{"x-device", "d1"}, {"cookie", "session=s1"}}, side("d1")},
		"a device twice":           {[]line{{"X-Device", "b"}, {"x-device", "a"}}, side("a", "b")},
		"an empty device":          {[]line{{"x-device", ""}, {"cookie", "session=s1"}}, side("")},
		"nobody's session":         {[]line{{"cookie", "a=b; session=s2"}}, side("s2")},
		"nobody at all":            {nil, side("192.0.2.7")},
		"a pinned claim":           {[]line{who(map[string]any{"sub": "bob", "group": "testers"})}, "users-v2"},
		"a pinned one of a list":   {[]line{who(map[string]any{"sub": "bob", "group": []string{"x", "testers"}})}, "users-v2"},
		"a pinned number":          {[]line{who(map[string]any{"sub": "bob", "group": 7.0})}, "users-v1"},
		"a claim that pins nobody": {[]line{who(map[string]any{"sub": "bob", "group": "others"})}, side("main:bob")},
	} {
		for _, envoys := range []string{"users-v1", "users-v2"} {
			want := ""
			if c.want != envoys {
				want = "get-users/" + c.want
			}
			if got := sentTo(t, g, picked(ask(hash, "/", c.lines...), envoys)); got != want {
				t.Errorf("%s, Envoy picked %s: told %q, want %q", name, envoys, got, want)
			}
			pinned := picked(ask(hash, "/", c.lines...), envoys)
			pinned.Attributes.ContextExtensions["pinned"] = "true"
			if got := sentTo(t, g, pinned); got != "" {
				t.Errorf("%s, pinned by Envoy to %s: told %q", name, envoys, got)
			}
		}
	}
}

// TestChanceIsEnvoys: for a caller by whom nothing keeps, its choice stands.
func TestChanceIsEnvoys(t *testing.T) {
	t.Parallel()
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	hash := g.publish(byCaller("user", "tenant", "apiKey", "cookie:session", "header:X-Device", "claim:plan"))
	for _, envoys := range []string{"users-v1", "users-v2"} {
		if got := sentTo(t, g, picked(ask(hash, "/", line{"cookie", "session=; a=b"}), envoys)); got != "" {
			t.Errorf("Envoy picked %s, told %q", envoys, got)
		}
	}
	g = newGate(t, keySetsFor(t, mainJWT()), func(o *Options) {
		o.Router = &fakeRouter{answer: Routed{Route: "get-users", Policy: byCaller("clientIP")}}
	})
	if got := sentTo(t, g, askUnrouted()); got != "" {
		t.Errorf("another's Envoy is told %q", got)
	}
}

// TestHeldWhereTheQueryChanges: Envoy then looks for the route again, and must find
// it.
func TestHeldWhereTheQueryChanges(t *testing.T) {
	t.Parallel()
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	p := &Policy{AnyOf: []Requirement{{APIKey: &config.APIKey{Name: "q", From: config.KeySource{Query: "key"}}}, {JWT: mainJWT()}}, AllowAnonymous: true, Holds: true}
	for _, backend := range []string{"users-v1", ""} {
		if got, want := sentTo(t, g, picked(ask(g.publish(p), "/"), backend)), "get-users/"+backend; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	p = &Policy{AnyOf: p.AnyOf, AllowAnonymous: true}
	if got := sentTo(t, g, picked(ask(g.publish(p), "/"), "users-v1")); got != "" {
		t.Errorf("told %q where Envoy does not look again", got)
	}
}

// breakersBy is a breaker that answers by the backend, and takes down who was asked.
type breakersBy struct {
	answers         map[string]Admission
	asked, canceled []string
}

func (b *breakersBy) Admit(_, backend string) Admission {
	b.asked = append(b.asked, backend)
	return b.answers[backend]
}

func (b *breakersBy) Cancel(probe string) { b.canceled = append(b.canceled, probe) }

// TestFallback: what an open breaker turns away goes to its fallback, if the breaker
// of that lets it; and no further.
func TestFallback(t *testing.T) {
	t.Parallel()
	open := func(after time.Duration) Admission { return Admission{Denied: true, RetryAfter: after} }
	answer := &config.Respond{Status: 203, Body: "soon"}
	for name, c := range map[string]struct {
		answers map[string]Admission
		guarded bool // the fallback has a breaker of its own
		want    string
		status  int
		retry   string
		asked   []string
	}{
		"closed":                     {nil, true, "", 0, "", []string{"a"}},
		"open":                       {map[string]Admission{"a": open(time.Second)}, false, "get-users/b", 0, "", []string{"a"}},
		"open, a breaker behind":     {map[string]Admission{"a": open(time.Second)}, true, "get-users/b", 0, "", []string{"a", "b"}},
		"both open":                  {map[string]Admission{"a": open(3 * time.Second), "b": open(5 * time.Second)}, true, "", 503, "3", []string{"a", "b"}},
		"both open, the other first": {map[string]Admission{"a": open(5 * time.Second), "b": open(2 * time.Second)}, true, "", 503, "2", []string{"a", "b"}},
		"a probe of the fallback":    {map[string]Admission{"a": open(time.Second), "b": {Probe: "b.1"}}, true, "get-users/b", 0, "", []string{"a", "b"}},
	} {
		b := &breakersBy{answers: c.answers}
		g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Breaker = b })
		p := &Policy{Breakers: []BackendBreaker{{Backend: "a", Fallback: "b"}}}
		if c.guarded {
			// It falls back on the first: nobody goes round in a circle.
			p.Breakers = append(p.Breakers, BackendBreaker{Backend: "b", Fallback: "a"})
		}
		r := g.check(t, picked(ask(g.publish(p), "/"), "a"))
		if !slices.Equal(b.asked, c.asked) {
			t.Errorf("%s: asked %v, want %v", name, b.asked, c.asked)
		}
		if c.status != 0 {
			if allows(r) || statusOf(r) != c.status || deniedHeader(r, "retry-after") != c.retry {
				t.Errorf("%s: %v", name, r)
			}
			continue
		}
		if got := sentTo(t, g, picked(ask(g.publish(p), "/"), "a")); got != c.want {
			t.Errorf("%s: told %q, want %q", name, got, c.want)
		}
		if probe := r.GetDynamicMetadata().GetFields()["probe"].GetStringValue(); probe != c.answers["b"].Probe {
			t.Errorf("%s: the probe %q", name, probe)
		}
	}
	// The answer that the fallback has for its own requests.
	b := &breakersBy{answers: map[string]Admission{"a": open(time.Second), "b": open(time.Second)}}
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Breaker = b })
	p := &Policy{Breakers: []BackendBreaker{{Backend: "a", Fallback: "b"}, {Backend: "b", Respond: answer}}}
	if r := g.check(t, picked(ask(g.publish(p), "/"), "a")); allows(r) || statusOf(r) != 203 || r.GetDeniedResponse().GetBody() != "soon" {
		t.Errorf("both open, and an answer: %v", r)
	}
	// Another's Envoy goes where it has meant to.
	g = newGate(t, keySetsFor(t, mainJWT()), func(o *Options) {
		p := &Policy{Breakers: []BackendBreaker{{Backend: "a", Fallback: "c"}}, OnlyBackend: "a"}
		o.Breaker, o.Router = b, &fakeRouter{answer: Routed{Route: "get-users", Policy: p}}
	})
	if r := g.check(t, askUnrouted()); allows(r) || reasonOf(r) != ReasonCircuitOpen {
		t.Errorf("another's Envoy: %v", r)
	}
}

// TestBreakerOfTheCallersSide is the one that is asked, and not that of Envoy's.
func TestBreakerOfTheCallersSide(t *testing.T) {
	t.Parallel()
	b := &breakersBy{}
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Breaker = b })
	p := byCaller("user")
	p.Breakers = []BackendBreaker{{Backend: "users-v1"}, {Backend: "users-v2"}}
	tester := withToken(rsaSigner().token(map[string]any{"sub": "bob", "group": "testers"}))
	g.check(t, picked(ask(g.publish(p), "/", tester), "users-v1"))
	if !slices.Equal(b.asked, []string{"users-v2"}) {
		t.Errorf("asked %v", b.asked)
	}
}
