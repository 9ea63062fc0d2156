package authz

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// inShadow are the same requirements in shadow.
func inShadow(all ...config.Requirement) []*config.Requirement { return inMode(config.ModeShadow, all) }

func inMode(mode config.RequirementMode, all []config.Requirement) []*config.Requirement {
	out := make([]*config.Requirement, len(all))
	for i, q := range all {
		q.Mode = mode
		out[i] = &q
	}
	return out
}

// shadowOf is what the access log reads of requirements in shadow.
func shadowOf(r *authv3.CheckResponse) Reason {
	return Reason(r.GetDynamicMetadata().GetFields()["shadow"].GetStringValue())
}

// askedInShadow are requests of every kind: good, bad and missing credentials.
func askedInShadow() map[string][]line {
	return map[string][]line{
		"nothing":           nil,
		"good token":        {withToken(rsaSigner().token(nil))},
		"no scope":          {withToken(rsaSigner().token(map[string]any{"scope": nil}))},
		"expired token":     {withToken(rsaSigner().token(map[string]any{"exp": noon.Add(-time.Hour).Unix()}))},
		"garbage":           {withToken("a.b.c")},
		"another scheme":    {{"authorization", "Basic eDp5"}},
		"good key":          {withKey("gw_good")},
		"bare key":          {withKey("gw_bare")},
		"revoked key":       {withKey("gw_revoked")},
		"bad token and key": {withToken("x"), withKey("gw_good")},
		"two keys":          {withKey("gw_good"), withKey("gw_good")},
		"a forged identity": {{"x-user-id", "admin"}},
	}
}

var askedOfShadow = map[string][]config.Requirement{
	"token":        {{JWT: "main", Scopes: []string{"users:read"}}},
	"key":          {{APIKey: "partners", Permissions: []string{"users:read"}}},
	"token or key": {{JWT: "main", Scopes: []string{"users:read"}}, {APIKey: "partners"}},
	"rule":         {{JWT: "main", Rule: `claims.scope == "x" || request.method != "GET"`}},
}

// What requirements in shadow would answer is what they answer in force, for
// every request; and alone they let all of them pass whose form holds, with the
// same identity where they hold.
func TestShadowAnswersAsInForce(t *testing.T) {
	t.Parallel()
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	for what, asks := range askedOfShadow {
		for _, anonymous := range []bool{false, true} {
			enforced := g.publish(policyOf(&config.RouteAuth{AnyOf: inMode("", asks), AllowAnonymous: anonymous}, mainJWT()))
			shadow := g.publish(policyOf(&config.RouteAuth{AnyOf: inShadow(asks...), AllowAnonymous: anonymous}, mainJWT()))
			if enforced == shadow {
				t.Fatalf("%s: the mode is not in the hash", what)
			}
			for name, lines := range askedInShadow() {
				want, got := g.check(t, ask(enforced, "/", lines...)), g.check(t, ask(shadow, "/", lines...))
				if statusOf(want) == 400 {
					if statusOf(got) != 400 || shadowOf(got) != "" {
						t.Errorf("%s, %s: %v", what, name, got)
					}
					continue
				}
				wanted := reasonOf(want)
				if wanted == ReasonAllowed {
					wanted = ""
				}
				if !allows(got) || shadowOf(got) != wanted {
					t.Errorf("%s, %s: allows %t, would answer %q; want %q", what, name, allows(got), shadowOf(got), wanted)
				}
				if allows(want) && !proto.Equal(want.GetOkResponse(), got.GetOkResponse()) {
					t.Errorf("%s, %s: in force %v, in shadow %v", what, name, want.GetOkResponse(), got.GetOkResponse())
				}
				if removed := got.GetOkResponse().GetHeadersToRemove(); len(headersOf(got.GetOkResponse().GetHeaders())) == 0 && what == "token" && !slices.Contains(removed, "x-user-id") {
					t.Errorf("%s, %s: a forged identity stays: %v", what, name, removed)
				}
			}
		}
	}
}

// Requirements in shadow beside others change nothing of what those decide: not
// the reason, not the identity, not what the client is told.
func TestShadowDecidesNothing(t *testing.T) {
	t.Parallel()
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	for enforcedBy, enforces := range askedOfShadow {
		for what, asks := range askedOfShadow {
			for _, anonymous := range []bool{false, true} {
				alone := &config.RouteAuth{AnyOf: inMode(config.ModeEnforce, enforces), AllowAnonymous: anonymous}
				beside := &config.RouteAuth{AnyOf: slices.Concat(inShadow(asks...), alone.AnyOf), AllowAnonymous: anonymous}
				without, with := g.publish(policyOf(alone, mainJWT())), g.publish(policyOf(beside, mainJWT()))
				for name, lines := range askedInShadow() {
					want, got := g.check(t, ask(without, "/", lines...)), g.check(t, ask(with, "/", lines...))
					if statusOf(got) == 400 {
						continue // the form of a credential that only the shadow reads
					}
					if reasonOf(got) != reasonOf(want) || !proto.Equal(got.GetDeniedResponse(), want.GetDeniedResponse()) ||
						!maps.Equal(headersOf(got.GetOkResponse().GetHeaders()), headersOf(want.GetOkResponse().GetHeaders())) {
						t.Errorf("%s in force, %s in shadow, %s: %v; without %v", enforcedBy, what, name, got, want)
					}
				}
			}
		}
	}
}

// brokenStore is a key store that panics, or that answers only when nobody waits.
type brokenStore struct{ panics bool }

func (b brokenStore) Find(ctx context.Context, _ string) (APIKeyRecord, APIKeyState, error) {
	if b.panics {
		panic("a fault of the program")
	}
	<-ctx.Done()
	return APIKeyRecord{}, Unknown, ctx.Err()
}

// Whatever breaks in shadow is counted, and costs no request its pass.
func TestShadowThatBreaks(t *testing.T) {
	t.Parallel()
	down := newFakeStore()
	down.err = errStoreDown
	for name, c := range map[string]struct {
		store KeyFinder
		want  Reason
	}{
		"panic": {brokenStore{panics: true}, ReasonInternal},
		"slow":  {brokenStore{}, ReasonDeadlineExceeded},
		"down":  {down, ReasonKeyStoreUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.KeyFinder = c.store })
			key := config.Requirement{APIKey: "partners"}
			alone := g.publish(policyOf(&config.RouteAuth{AnyOf: inShadow(key)}))
			beside := g.publish(policyOf(&config.RouteAuth{AnyOf: append(inShadow(key), &config.Requirement{JWT: "main"})}, mainJWT()))
			for i, m := range []*authv3.CheckRequest{
				ask(alone, "/", withKey("gw_good")),
				ask(beside, "/", withKey("gw_good"), withToken(rsaSigner().token(nil))),
			} {
				if r := g.check(t, m); !allows(r) || shadowOf(r) != c.want {
					t.Errorf("request %d: %v; want it to pass, and %s in shadow", i, r, c.want)
				}
			}
			if got := g.server.ShadowStatus(); len(got) != 1 || got[0].WouldDeny != 2 || got[0].Reasons[0] != (ShadowReason{c.want, 2, 0}) {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

// An issuer that is slower than a request in shadow waits is asked all the same,
// and its answer serves the next request.
func TestShadowDoesNotWaitForAnIssuer(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-answer
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"active": true, "sub": "alice"}`)
	}))
	t.Cleanup(issuer.Close)
	legacy := &config.Introspection{
		Name: "legacy", URL: issuer.URL, ClientID: "gateway", ClientSecretEnv: "SECRET", Timeout: config.Duration(time.Minute),
		Forward: map[string]string{"sub": "X-User-ID"},
	}
	asking := NewIntrospectors(IntrospectorsOptions{Transport: http.DefaultTransport, Getenv: func(string) string { return "secret" }})
	t.Cleanup(asking.Close)
	asking.Ensure([]*config.Introspection{legacy})
	g := newGate(t, nil, func(o *Options) { o.Introspectors = asking })
	hash := g.publish(&Policy{Shadow: []Requirement{{Introspection: legacy}}})
	if r := g.check(t, ask(hash, "/", withToken("opaque"))); !allows(r) || shadowOf(r) != ReasonDeadlineExceeded {
		t.Errorf("while the issuer is silent: %v", r)
	}
	close(answer)
	for r := g.check(t, ask(hash, "/", withToken("opaque"))); shadowOf(r) != ""; r = g.check(t, ask(hash, "/", withToken("opaque"))) {
		if !allows(r) {
			t.Fatalf("until the issuer's answer is there: %v", r)
		}
	}
	if r := g.check(t, ask(hash, "/", withToken("opaque"))); headersOf(r.GetOkResponse().GetHeaders())["x-user-id"] != "alice" {
		t.Errorf("after the issuer's answer: %v", r)
	}
}

// At most half of what Envoy waits is spent in shadow.
func TestTimeInShadow(t *testing.T) {
	t.Parallel()
	if got := shadowTime(t.Context()); got != shadowPatience {
		t.Errorf("without a deadline %s", got)
	}
	for _, left := range []time.Duration{-time.Second, 40 * time.Millisecond, time.Hour} {
		ctx, cancel := context.WithTimeout(t.Context(), left)
		if got := shadowTime(ctx); got > shadowPatience || got > max(0, left/2) {
			t.Errorf("of %s: %s", left, got)
		}
		cancel()
	}
}

// Limits count the caller whom requirements in shadow name, where there are no
// others; with others it is theirs.
func TestLimitsByTheCallerInShadow(t *testing.T) {
	t.Parallel()
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	p := policyOf(&config.RouteAuth{AnyOf: inShadow(config.Requirement{JWT: "main"})}, mainJWT())
	p.Limits = []*config.Limit{shop().Limits["per-user"]}
	hash := g.publish(p)
	g.check(t, ask(hash, "/", withToken(rsaSigner().token(nil))))
	g.check(t, ask(hash, "/"))
	if a, b := g.limiter.taken[0][0].Key[0], g.limiter.taken[1][0].Key[0]; a != "main:alice" || b != "" {
		t.Errorf("counted %q, then %q", a, b)
	}
}

// What would change is told apart from what would not, in metrics and status
// alike.
func TestShadowCounts(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Registerer = registry })
	hash := g.publish(policyOf(&config.RouteAuth{AnyOf: append(inShadow(config.Requirement{APIKey: "partners"}), &config.Requirement{JWT: "main"})}, mainJWT()))
	token := withToken(rsaSigner().token(nil))
	for range 2 {
		g.check(t, ask(hash, "/", token)) // passes, and would not
	}
	g.check(t, ask(hash, "/", token, withKey("gw_revoked")))
	g.check(t, ask(hash, "/", token, withKey("gw_good"))) // passes both
	g.check(t, ask(hash, "/", withKey("gw_good")))        // would pass
	g.check(t, ask(hash, "/"))                            // passes neither
	unknown := ask(hash, "/", token)
	unknown.Attributes.ContextExtensions["route"] = "made-up"
	g.check(t, unknown)
	want := `
# HELP gatewright_shadow_total Requests judged by requirements in shadow, by route, verdict of the requirements in force (allowed or denied), and result: what the answer would be (allowed, or the reason).
# TYPE gatewright_shadow_total counter
gatewright_shadow_total{result="allowed",route="get-users",verdict="allowed"} 1
gatewright_shadow_total{result="allowed",route="get-users",verdict="denied"} 1
gatewright_shadow_total{result="api-key-revoked",route="get-users",verdict="allowed"} 1
gatewright_shadow_total{result="credential-missing",route="get-users",verdict="allowed"} 2
gatewright_shadow_total{result="credential-missing",route="get-users",verdict="denied"} 1
gatewright_shadow_total{result="credential-missing",route="unknown",verdict="allowed"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "gatewright_shadow_total"); err != nil {
		t.Error(err)
	}
	status := g.server.ShadowStatus()
	if len(status) != 2 || status[1].Route != "unknown" {
		t.Fatalf("status %+v", status)
	}
	got := status[0]
	if got.Route != "get-users" || got.Judged != 6 || got.WouldDeny != 3 || got.WouldAdmit != 1 ||
		!slices.Equal(got.Reasons, []ShadowReason{{ReasonCredentialMissing, 2, 1}, {ReasonAPIKeyRevoked, 1, 0}}) {
		t.Errorf("status %+v", got)
	}
}

// Explaining takes the steps of Check.
func TestExamineShadow(t *testing.T) {
	t.Parallel()
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	for what, asks := range askedOfShadow {
		p := policyOf(&config.RouteAuth{AnyOf: inShadow(asks...), AllowAnonymous: true}, mainJWT())
		p.Limits = []*config.Limit{shop().Limits["per-user"]}
		hash := g.publish(p)
		for name, lines := range askedInShadow() {
			r := g.check(t, ask(hash, "/", lines...))
			e := Examined{Route: "get-users", Path: "/", Method: "GET"}
			for _, l := range lines {
				e.Headers = append(e.Headers, [2]string{l.name, l.value})
			}
			x := g.server.Examine(t.Context(), p, e)
			denied, ok := x.Overall()
			if ok != allows(r) || (denied != nil) == ok {
				t.Errorf("%s, %s: examined %v, %t; checked %v", what, name, denied, ok, r)
			}
			if !ok {
				continue
			}
			var would Reason
			if denied, _ := x.Shadow.Overall(); denied != nil {
				would = denied.Reason
			}
			if would != shadowOf(r) || x.Anonymous || !x.CallerKnown {
				t.Errorf("%s, %s: would answer %q, and %q is checked: %+v", what, name, would, shadowOf(r), x)
			}
		}
	}
}
