package config

import (
	"testing"
	"time"
)

// breakerOf is the breaker that a backend has in a config that is good otherwise.
func breakerOf(t *testing.T, text string) *Breaker {
	t.Helper()
	c, err := Parse("f.yaml", []byte(`
listeners: [{name: public, address: "0.0.0.0:8080"}]
backends: {a: {endpoints: ["10.0.0.5:80"], breaker: `+text+`}}
routes: [{name: a, match: {path: /a}, auth: public, to: [{backend: a}]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	return c.Backends["a"].Breaker
}

func TestBreakerDefaults(t *testing.T) {
	b := breakerOf(t, `{}`)
	if b.Rate() != 0.5 || b.Over() != 10*time.Second || b.Least() != 20 || b.FirstOpen() != 30*time.Second || b.LongestOpen() != 30*time.Second {
		t.Errorf("opens at %v of %d in %v for %v up to %v", b.Rate(), b.Least(), b.Over(), b.FirstOpen(), b.LongestOpen())
	}
	if b.Growth() != 1 || b.Jitter() != 0 || b.ProbesToClose() != 1 || b.Lease() != 20*time.Second || b.IsPerRoute() || b.InShadow() {
		t.Errorf("growth %v, jitter %v, probes %d, lease %v, per route %v, shadow %v", b.Growth(), b.Jitter(), b.ProbesToClose(), b.Lease(), b.IsPerRoute(), b.InShadow())
	}
	f := &b.Failures
	if got := f.Statuses(); len(got) != 1 || !got[0].Has(500) || !got[0].Has(599) || got[0].Has(499) || got[0].Has(600) {
		t.Errorf("statuses %v", got)
	}
	if got := f.GRPCCodes(); len(got) != 5 || got[0] != 2 || got[1] != 4 || got[2] != 13 || got[3] != 14 || got[4] != 15 {
		t.Errorf("gRPC statuses %v", got)
	}
	if !f.ConnectFailures() || !f.Resets() || !f.Timeouts() || f.SlowerThan != 0 {
		t.Errorf("%+v", f)
	}
}

// TestWhatABreakerSays: what is said goes before the defaults, a zero and an empty list
// too.
func TestWhatABreakerSays(t *testing.T) {
	a := breakerOf(t, `{errorRate: 0, backoff: {}, per: route, probes: 3, failures: {status: [429, 5xx], grpcStatus: [], timeout: true, slowerThan: 2s}}`)
	if a.Rate() != 0 || a.Growth() != 2 || a.LongestOpen() != 300*time.Second || !a.IsPerRoute() || a.ProbesToClose() != 3 || a.NameFor("r", "a") != "r/a" {
		t.Errorf("%+v", a)
	}
	f := &a.Failures
	if got := f.Statuses(); len(got) != 2 || got[0] != (StatusRange{429, 429}) || got[1] != (StatusRange{500, 599}) || got[0].String() != "429" || got[1].String() != "5xx" {
		t.Errorf("statuses %v", got)
	}
	if len(f.GRPCCodes()) != 0 || !f.ConnectFailures() || !f.Timeouts() || f.SlowerThan != Duration(2*time.Second) {
		t.Errorf("%+v", f)
	}
	b := breakerOf(t, `{backoff: {factor: 1, max: 40s, jitter: 1}, mode: shadow, failures: {status: []}}`)
	if b.Growth() != 1 || b.LongestOpen() != 40*time.Second || b.Jitter() != 1 || !b.InShadow() || len(b.Failures.Statuses()) != 0 || len(b.Failures.GRPCCodes()) != 5 || b.NameFor("r", "a") != "a" {
		t.Errorf("%+v", b)
	}
}
