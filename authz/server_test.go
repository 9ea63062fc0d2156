package authz

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/gatewright/gatewright/config"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A route whose policy is not known here is a 503, whatever it shows.
func TestUnknownPolicyDenies(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	g.publish(&Policy{})
	good := withToken(rsaSigner().token(nil))
	bare := ask("", "/", good)
	bare.Attributes.ContextExtensions = nil
	for name, m := range map[string]*authv3.CheckRequest{
		"another hash":  ask("00000000000000000000000000000000", "/", good),
		"an empty hash": ask("", "/", good),
		"no extensions": bare,
		"no attributes": {},
		"not UTF-8":     ask("policy", "/"),
	} {
		if name == "not UTF-8" {
			m.Attributes.ContextExtensions["policy"] = "\xff"
			if r, err := g.server.Check(t.Context(), m); err != nil || allows(r) {
				t.Errorf("%s: %v, %v", name, r, err)
			}
			continue
		}
		if r := g.check(t, m); allows(r) || statusOf(r) != 503 || reasonOf(r) != ReasonPolicyUnknown {
			t.Errorf("%s: %d %s", name, statusOf(r), reasonOf(r))
		}
	}
	if r, err := g.server.Check(t.Context(), nil); err != nil || allows(r) {
		t.Errorf("a nil request: %v, %v", r, err)
	}
}

func TestDroppedPolicyDenies(t *testing.T) {
	g := newGate(t, nil, nil)
	hash := g.publish(&Policy{})
	if r := g.check(t, ask(hash, "/")); !allows(r) {
		t.Errorf("published: %s", reasonOf(r))
	}
	clear(g.policies)
	if r := g.check(t, ask(hash, "/")); reasonOf(r) != ReasonPolicyUnknown {
		t.Errorf("dropped: %s", reasonOf(r))
	}
}

// panicking is a limiter, a key store, and whatever else is injected.
type panicking struct{}

func (panicking) Take(context.Context, []Charge) LimitResult { panic("limiter") }

func (panicking) Recall([]Charge) (LimitResult, bool) { return LimitResult{}, false }

func (panicking) Release([]string) {}

func (panicking) Find(context.Context, string) (APIKeyRecord, APIKeyState, error) { panic("store") }

// Wherever it panics, the request is denied, the panic is in the log and in
// the metrics, and the next request is judged.
func TestPanicDenies(t *testing.T) {
	limited := &Policy{Limits: []*config.Limit{limitBy("u", "clientIP")}}
	keyed := &Policy{AnyOf: []Requirement{{APIKey: partnersKey()}}}
	for name, c := range map[string]struct {
		policy *Policy
		change func(*Options)
	}{
		"limiter":     {limited, func(o *Options) { o.Limiter = panicking{} }},
		"key store":   {keyed, func(o *Options) { o.KeyFinder = panicking{} }},
		"client IP":   {limited, func(o *Options) { o.ClientIPKey = func(string, int) string { panic("ip") } }},
		"clock":       {keyed, func(o *Options) { o.Clock = func() time.Time { panic("clock") } }},
		"known route": {&Policy{}, func(o *Options) { o.KnownRoute = func(string) bool { panic("route") } }},
		"no limit":    {&Policy{Limits: []*config.Limit{nil}}, nil},
		"no policies": {&Policy{}, func(o *Options) { o.Policies = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			log := &lockedBuffer{}
			g := newGate(t, nil, func(o *Options) {
				o.Log = slog.New(slog.NewTextHandler(log, nil))
				if c.change != nil {
					c.change(o)
				}
			})
			hash := g.publish(c.policy)
			for range 2 {
				r := g.check(t, ask(hash, "/", withKey("gw_good")))
				if allows(r) || statusOf(r) != 503 || reasonOf(r) != ReasonInternal {
					t.Errorf("%d %s", statusOf(r), reasonOf(r))
				}
			}
			if !strings.Contains(log.String(), "panicked") || strings.Contains(log.String(), "gw_good") {
				t.Errorf("log: %s", log)
			}
			if n := testutil.ToFloat64(g.server.metrics.verdicts.WithLabelValues("unknown", "denied", "internal")); n != 2 {
				t.Errorf("%v panics counted", n)
			}
		})
	}
}

// What was not given to New denies.
func TestNothingGivenDenies(t *testing.T) {
	s := New(Options{Policies: knownPolicies{}})
	for want, p := range map[Reason]*Policy{
		ReasonLimitStoreUnavailable: {Limits: []*config.Limit{limitBy("u", "user")}},
		ReasonKeyStoreUnavailable:   {AnyOf: []Requirement{{APIKey: partnersKey()}}},
		ReasonJWKSUnavailable:       {AnyOf: []Requirement{{JWT: mainJWT()}}},
	} {
		maps.Copy(s.policies.(knownPolicies), map[string]*Policy{p.Hash(): p})
		token := rsaSigner().token(map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "iat": nil})
		r, err := s.Check(t.Context(), ask(p.Hash(), "/", withToken(token), withKey("gw_good")))
		if err != nil || reasonOf(r) != want || statusOf(r) != 503 {
			t.Errorf("%v %v, want %s", r, err, want)
		}
	}
}

// stuck answers only when the context ends.
type stuck struct{}

func (stuck) Find(ctx context.Context, _ string) (APIKeyRecord, APIKeyState, error) {
	<-ctx.Done()
	return APIKeyRecord{}, Unknown, ctx.Err()
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := &fakeLimiter{answer: LimitResult{Allowed: true}}
		s := New(Options{Policies: knownPolicies{}, KeyFinder: stuck{}, Limiter: limiter})
		keyed := &Policy{AnyOf: []Requirement{{APIKey: partnersKey()}}, Limits: []*config.Limit{limitBy("u", "user")}}
		limited := &Policy{Limits: keyed.Limits}
		maps.Copy(s.policies.(knownPolicies), map[string]*Policy{keyed.Hash(): keyed, limited.Hash(): limited})

		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		r, err := s.Check(ctx, ask(keyed.Hash(), "/", withKey("gw_good")))
		if err != nil || reasonOf(r) != ReasonKeyStoreUnavailable || time.Since(began) != 200*time.Millisecond {
			t.Errorf("%v %v after %s", r, err, time.Since(began))
		}
		// Its time is over: it is denied, and nobody is charged.
		r, err = s.Check(ctx, ask(limited.Hash(), "/"))
		if err != nil || reasonOf(r) != ReasonDeadlineExceeded || statusOf(r) != 503 || len(limiter.taken) != 0 {
			t.Errorf("%v %v, charged %v", r, err, limiter.taken)
		}
	})
}

// A token is judged by the server's clock, to the second.
func TestCheckUsesTheClock(t *testing.T) {
	now := noon
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Clock = func() time.Time { return now } })
	hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}}})
	m := ask(hash, "/", withToken(rsaSigner().token(map[string]any{"exp": noon.Unix()})))
	for _, c := range []struct {
		after time.Duration
		want  Reason
	}{{29 * time.Second, ReasonAllowed}, {30 * time.Second, ReasonTokenExpired}, {31 * time.Second, ReasonTokenExpired}} {
		now = noon.Add(c.after)
		if r := g.check(t, m); reasonOf(r) != c.want {
			t.Errorf("%s after exp: %s, want %s", c.after, reasonOf(r), c.want)
		}
	}
}

func TestVerdictMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	g := newGate(t, nil, func(o *Options) { o.Registerer = registry })
	hash := g.publish(&Policy{})
	g.check(t, ask(hash, "/"))
	g.check(t, ask(hash, "/"))
	g.check(t, ask("none", "/"))
	stranger := ask(hash, "/")
	stranger.Attributes.ContextExtensions["route"] = "made-up"
	g.check(t, stranger)
	want := `
# HELP gatewright_verdicts_total Requests judged, by route, verdict (allowed or denied) and reason.
# TYPE gatewright_verdicts_total counter
gatewright_verdicts_total{reason="allowed",route="get-users",verdict="allowed"} 2
gatewright_verdicts_total{reason="allowed",route="unknown",verdict="allowed"} 1
gatewright_verdicts_total{reason="policy-unknown",route="get-users",verdict="denied"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "gatewright_verdicts_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "gatewright_check_seconds"); err != nil || n != 1 {
		t.Errorf("%d histograms (%v)", n, err)
	}
}

// Trouble is in the log, and a flood of it is not.
func TestTroubleIsLoggedSparingly(t *testing.T) {
	log := &lockedBuffer{}
	g := newGate(t, nil, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) })
	g.store.err = errStoreDown
	hash := g.publish(&Policy{AnyOf: []Requirement{{APIKey: partnersKey()}}})
	began := time.Now()
	for range 100 {
		g.check(t, ask(hash, "/", withKey("gw_canary")))
	}
	atMost := 1 + int(time.Since(began)/troubleInterval)
	if n := strings.Count(log.String(), "connection refused"); n < 1 || n > atMost {
		t.Errorf("%d lines, want 1 to %d:\n%s", n, atMost, log)
	}
	if strings.Contains(log.String(), "gw_canary") {
		t.Error("the log holds the key")
	}
}

// No secret that a request carries is in any reply or log line.
func TestNoSecretLeavesTheJudge(t *testing.T) {
	log := &lockedBuffer{}
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	hash := g.publish(readersOnly())
	canary := "canary-0123456789"
	for _, h := range ours().Hostile("http://" + canary + ".example.com/") {
		r := g.check(t, ask(hash, "/?x="+canary, withToken(h.Raw), withKey(canary), line{"cookie", canary}))
		if allows(r) {
			t.Errorf("%s passed", h.Name)
		}
		if text := r.String(); strings.Contains(text, canary) || len(h.Raw) > 20 && strings.Contains(text, h.Raw) {
			t.Errorf("%s: the reply holds the secret: %s", h.Name, text)
		}
	}
	for _, secret := range []map[string]any{{"role": canary}, {"scope": canary}, {"aud": canary}, {"iss": canary}, {"x": canary, "exp": 1}} {
		r := g.check(t, ask(hash, "/", withToken(rsaSigner().token(secret))))
		if allows(r) || strings.Contains(r.String(), canary) {
			t.Errorf("%v: %v", secret, r)
		}
	}
	if strings.Contains(log.String(), canary) {
		t.Errorf("the log holds the secret:\n%s", log)
	}
}
