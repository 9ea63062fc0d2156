package config

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// readBreakers reads the breakers of backends a and b, as they stand under
// backends in a file, and judges them.
func readBreakers(t *testing.T, text string) (map[string]*Backend, Faults) {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Backends map[string]*struct {
			Breaker *Breaker `yaml:"breaker"`
		} `yaml:"backends"`
	}
	r := newReport("f.yaml", document.Content[0])
	fill(&read, r.root, r)
	cfg := &Config{Backends: map[string]*Backend{}}
	for name, b := range read.Backends {
		cfg.Backends[name] = &Backend{Name: name, Breaker: b.Breaker}
	}
	c := checker{cfg: cfg, report: r}
	for _, name := range sorted(cfg.Backends) {
		if b := cfg.Backends[name].Breaker; b != nil {
			c.breaker(new(place).key("backends").key(name).key("breaker"), b, name)
		}
	}
	faults, _ := r.err().(Faults)
	return cfg.Backends, faults
}

func TestBreakerDefaults(t *testing.T) {
	backends, faults := readBreakers(t, `backends: {a: {breaker: {}}}`)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	b := backends["a"].Breaker
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

func TestBreakerOfEveryField(t *testing.T) {
	backends, faults := readBreakers(t, `
backends:
  a:
    breaker:
      errorRate: 0
      window: 1m
      minRequests: 5
      openFor: 2s
      backoff: {factor: 1.5, max: 1m, jitter: 0.1}
      per: route
      probes: 3
      probeLease: 5s
      ramp: 30s
      failures: {status: [429, 5xx], grpcStatus: [], connectFailure: false, reset: false, timeout: false, slowerThan: 2s}
      fallback: {respond: {status: 200, body: "[]", headers: {Content-Type: application/json}}}
      mode: enforce
      webhook: {url: "https://hooks.example.com/breakers", authorizationEnv: PATH}
  b: {breaker: {backoff: {}, mode: shadow, failures: {status: []}}}
`)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	a, b := backends["a"].Breaker, backends["b"].Breaker
	if a.Rate() != 0 || a.Over() != time.Minute || a.Least() != 5 || a.FirstOpen() != 2*time.Second || a.LongestOpen() != time.Minute ||
		a.Growth() != 1.5 || a.Jitter() != 0.1 || !a.IsPerRoute() || a.ProbesToClose() != 3 || a.Lease() != 5*time.Second || a.Ramp != Duration(30*time.Second) {
		t.Errorf("%+v", a)
	}
	f := &a.Failures
	if got := f.Statuses(); len(got) != 2 || got[0] != (StatusRange{429, 429}) || got[1] != (StatusRange{500, 599}) || got[0].String() != "429" || got[1].String() != "5xx" {
		t.Errorf("statuses %v", got)
	}
	if len(f.GRPCCodes()) != 0 || f.ConnectFailures() || f.Resets() || f.Timeouts() || f.SlowerThan != Duration(2*time.Second) {
		t.Errorf("%+v", f)
	}
	if a.Fallback.Respond.Status != 200 || a.Webhook.AuthorizationEnv != "PATH" {
		t.Errorf("%+v, %+v", a.Fallback.Respond, a.Webhook)
	}
	if b.Growth() != 2 || b.LongestOpen() != 300*time.Second || !b.InShadow() || len(b.Failures.Statuses()) != 0 || len(b.Failures.GRPCCodes()) != 5 {
		t.Errorf("%+v", b)
	}
}

func TestBadBreakers(t *testing.T) {
	_, faults := readBreakers(t, `
backends:
  a: {breaker: {errorRate: 1, window: 999ms, minRequests: -1, openFor: 99ms, per: server, probes: 101, probeLease: 999ms, ramp: 25h, mode: shadw}}
  b: {breaker: {errorRate: -0.1, window: 61m, openFor: 1m, backoff: {factor: 0.9, max: 59s, jitter: 1.1}}}
  c: {breaker: {failures: {status: [399, 503, 503, 5xx, 502, 6xx], grpcStatus: [ok, internal, internal, ""], slowerThan: 25h}}}
  d: {breaker: {failures: {status: [], grpcStatus: [], connectFailure: false, reset: false, timeout: false}}}
  e: {breaker: {fallback: {}, webhook: {url: "http://hooks.example.com/"}}}
  f: {breaker: {mode: shadow, fallback: {respond: {status: 99}}, webhook: {url: "https://user:password@hooks.example.com/", authorizationEnv: GATEWRIGHT_ADMIN_TOKEN}}}
  g: {breaker: {fallback: {backend: a}, webhook: {authorizationEnv: NOT_SET_ANYWHERE}}}
`)
	var got []string
	for _, f := range faults {
		got = append(got, strings.TrimPrefix(f.String(), "f.yaml:"))
	}
	wantLines(t, got, strings.Split(strings.TrimSpace(`
3: backends.a.breaker.errorRate: 1, must be from 0 to less than 1: more than all of the requests cannot fail
3: backends.a.breaker.minRequests: -1, must be at least 0
3: backends.a.breaker.mode: shadw, must be one of enforce, shadow; did you mean "shadow"?
3: backends.a.breaker.openFor: 99ms, must be at least 100ms
3: backends.a.breaker.per: server, must be one of backend, route
3: backends.a.breaker.probeLease: 999ms, must be at least 1s
3: backends.a.breaker.probes: 101, must be at most 100
3: backends.a.breaker.ramp: 25h, must be at most 24h
3: backends.a.breaker.window: 999ms, must be at least 1s
4: backends.b.breaker.backoff.factor: 0.9, must be from 1 to 10
4: backends.b.breaker.backoff.jitter: 1.1, must be from 0 to 1
4: backends.b.breaker.backoff.max: 59s, must be at least openFor, 1m
4: backends.b.breaker.errorRate: -0.1, must be from 0 to less than 1: more than all of the requests cannot fail
4: backends.b.breaker.window: 61m, must be at most 1h
5: backends.c.breaker.failures.grpcStatus[0]: ok, must be one of cancelled, unknown, invalid-argument, deadline-exceeded, not-found, already-exists, permission-denied, resource-exhausted, failed-precondition, aborted, out-of-range, unimplemented, internal, unavailable, data-loss, unauthenticated
5: backends.c.breaker.failures.grpcStatus[2]: internal, is listed twice
5: backends.c.breaker.failures.grpcStatus[3]: "", must not be empty
5: backends.c.breaker.failures.slowerThan: 25h, must be at most 24h
5: backends.c.breaker.failures.status[0]: 399, must be a status from 400 to 599, or 4xx or 5xx
5: backends.c.breaker.failures.status[2]: 503, is listed twice
5: backends.c.breaker.failures.status[4]: 502, is in 5xx already
5: backends.c.breaker.failures.status[5]: 6xx, must be a status from 400 to 599, or 4xx or 5xx
6: backends.d.breaker.failures: must leave something that counts: the breaker would never open
7: backends.e.breaker.fallback: must have exactly one of backend and respond
7: backends.e.breaker.webhook.url: "http://hooks.example.com/", must be https: on the way of plain HTTP anybody can answer; plainHTTP: true says that it is meant
8: backends.f.breaker.fallback: needs mode enforce: in shadow every request passes
8: backends.f.breaker.fallback.respond.status: 99, must be at least 200
8: backends.f.breaker.webhook.authorizationEnv: GATEWRIGHT_ADMIN_TOKEN, must not be a setting of the gateway's own
8: backends.f.breaker.webhook.url: must not have a user or a password
9: backends.g.breaker.fallback.backend: not yet supported: fallback backends
9: backends.g.breaker.webhook.authorizationEnv: NOT_SET_ANYWHERE, must be an environment variable that is set and not empty
9: backends.g.breaker.webhook.url: is missing
`), "\n"))
}
