package authz

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// countedBy are the headers that a request is given or has lost, by their names.
func countedBy(t *testing.T, g *gate, policy string, lines ...line) map[string]string {
	t.Helper()
	r := g.check(t, ask(policy, "/", lines...))
	if !allows(r) {
		t.Fatal(reasonOf(r))
	}
	out := map[string]string{}
	for _, h := range r.GetOkResponse().GetHeaders() {
		if strings.HasPrefix(h.GetHeader().GetKey(), "x-gatewright-key-") {
			out[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
		}
	}
	for _, name := range r.GetOkResponse().GetHeadersToRemove() {
		if strings.HasPrefix(name, "x-gatewright-key-") {
			out[name] = "-"
		}
	}
	return out
}

// Where Envoy charges the limit, Check charges nothing, and says what it is to be counted
// by; elsewhere Check charges it.
func TestCountedInEnvoy(t *testing.T) {
	limit := limitBy("per-user", config.KeyUser, config.KeyTenant, "claim:level", config.KeyClientIP)
	level := config.KeyPart("claim:level").CountedHeader()
	counted := line{config.CountedHeader, "per-user"}
	for name, c := range map[string]struct {
		lines []line
		want  map[string]string
		taken int
	}{
		"a token": {[]line{counted, withToken(rsaSigner().token(map[string]any{"level": 7, "sub": "al%ce"}))},
			map[string]string{"x-gatewright-key-user": "al%25ce", "x-gatewright-key-tenant": "acme", level: "7"}, 0},
		"a token without tenant and level": {[]line{counted, withToken(rsaSigner().token(map[string]any{"tenant": nil}))},
			map[string]string{"x-gatewright-key-user": "alice", "x-gatewright-key-tenant": "-", level: "-"}, 0},
		"a key": {[]line{counted, withKey("gw_good")},
			map[string]string{"x-gatewright-key-user": "%%partners:k1", "x-gatewright-key-tenant": "globex", level: "-"}, 0},
		"a long name": {[]line{counted, withToken(rsaSigner().token(map[string]any{"sub": strings.Repeat("a", 300), "tenant": nil}))},
			map[string]string{"x-gatewright-key-user": countedText(strings.Repeat("a", 300), ""), "x-gatewright-key-tenant": "-", level: "-"}, 0},
		"not by its listener or route": {[]line{withToken(rsaSigner().token(nil))}, map[string]string{}, 1},
		"another limit":                {[]line{{config.CountedHeader, "other"}, withToken(rsaSigner().token(nil))}, map[string]string{}, 1},
		"said twice":                   {[]line{counted, counted, withToken(rsaSigner().token(nil))}, map[string]string{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, keySetsFor(t, mainJWT()), nil)
			policy := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}, {APIKey: partnersKey()}}, Limits: []*config.Limit{limit}})
			got := countedBy(t, g, policy, c.lines...)
			if len(got) != len(c.want) || len(g.limiter.taken) != c.taken {
				t.Errorf("counted by %v and charged %d times, want %v and %d", got, len(g.limiter.taken), c.want, c.taken)
			}
			for name, want := range c.want {
				if got[name] != want {
					t.Errorf("%s %q, want %q", name, got[name], want)
				}
			}
		})
	}
}

// A verdict that a limit inside Envoy comes after is counted by what becomes of it: once.
func TestChargedVerdictsAreCountedAtTheirEnd(t *testing.T) {
	metrics := prometheus.NewRegistry()
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Registerer = metrics })
	limit := limitBy("per-user", config.KeyUser)
	policy := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}}, Limits: []*config.Limit{limit}})
	ask := func(lines ...line) string {
		return g.check(t, ask(policy, "/", lines...)).GetDynamicMetadata().GetFields()["charged"].GetStringValue()
	}
	counts := func(want string) {
		t.Helper()
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "gatewright_verdicts_total"); err != nil {
			t.Error(err)
		}
	}
	counted := line{config.CountedHeader, "per-user"}
	if got := ask(counted, withToken(rsaSigner().token(nil))); got != "per-user" {
		t.Errorf("charged is %q", got)
	}
	counts("")
	if got := ask(counted, withToken("x")); got != "" {
		t.Errorf("charged of a denial is %q", got)
	}
	if got := ask(withToken(rsaSigner().token(nil))); got != "" {
		t.Errorf("charged where Check charges is %q", got)
	}
	g.server.CountCharged("get-users", true)
	g.server.CountCharged("get-users", false)
	counts(`
		# HELP gatewright_verdicts_total Requests judged, by route, verdict (allowed or denied) and reason.
		# TYPE gatewright_verdicts_total counter
		gatewright_verdicts_total{reason="allowed",route="get-users",verdict="allowed"} 2
		gatewright_verdicts_total{reason="rate-limited",route="get-users",verdict="denied"} 1
		gatewright_verdicts_total{reason="token-malformed",route="get-users",verdict="denied"} 1
	`)
}

// No two values are counted as one, whatever is in them, nor a caller by a token as another.
func TestCountedTextIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringMatching(`%{0,3}[a-z:%]{0,300}`))
		mark := rapid.SampledFrom([]string{"", foreignMark})
		a, b := value.Draw(t, "a"), value.Draw(t, "b")
		m, n := mark.Draw(t, "mark of a"), mark.Draw(t, "mark of b")
		same := a == b && (m == n || a == "")
		if got := countedText(a, m) == countedText(b, n); got != same {
			t.Fatalf("%q and %q are %q and %q", a, b, countedText(a, m), countedText(b, n))
		}
	})
}
