package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const tracedWaits = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
backends:
  app: {endpoints: ["{{.app}}"]}
  collector: {endpoints: ["{{.collector}}"], protocol: grpc}
tracing:
  otlp: {backend: collector}
  percent: 100
auth:
  jwt:
    main: {issuer: "{{.issuer}}", audiences: [api], jwks: {discover: true}}
  introspection:
    legacy: {url: "{{.opaque}}", clientID: gateway, clientSecretEnv: INTROSPECT_SECRET}
limits:
  one: {key: [clientIP], tokenBucket: {capacity: 1, refill: 1/h}}
routes:
  - {name: once, match: {path: /once/**}, auth: public, limits: [one], to: [{backend: app}]}
  - {name: users, match: {path: /users/**}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
  - {name: old, match: {path: /old/**}, auth: {anyOf: [{introspection: legacy}]}, to: [{backend: app}]}
  - {name: watched, match: {path: /watched/**}, auth: public, respond: {status: 200}}
`

// TestWaitsHaveSpans: what a request waits for besides Check's own work is in its trace:
// the limits where Envoy's own filter asks for them, the keys of an issuer that has new
// ones, and an issuer's word on an opaque token.
func TestWaitsHaveSpans(t *testing.T) {
	t.Parallel()
	opaque := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"active":true,"sub":"alice"}`))
	}))
	t.Cleanup(opaque.Close)
	p, c := idp(t), testenv.StartCollector(t)
	g := start(t, setup{
		config: tracedWaits,
		values: map[string]string{"app": backend(t, "app").Addr(), "collector": c.GRPC, "issuer": p.Issuer(), "opaque": opaque.URL},
		env:    []string{"INTROSPECT_SECRET=open sesame", "GATEWRIGHT_REDIS_URL=" + testenv.StartRedis(t).URL()},
	})
	get(t, g.url("public", "/users/0"), bearer(token(t, p, "sub=carol"))).ok(t) // by the keys of the start
	if err := p.Rotate(); err != nil {
		t.Fatal(err)
	}
	const secret = "opaque-alice"
	renewed := get(t, g.url("public", "/users/1"), bearer(token(t, p, "sub=carol"))).ok(t)
	asked := get(t, g.url("public", "/old/1"), bearer(secret)).ok(t)
	allowed := get(t, g.url("filtered", "/once/1")).ok(t)
	var denied reply // the next one, unless Redis stood still for the first
	eventually(t, "one is denied", func() error {
		if denied = get(t, g.url("filtered", "/once/2")); denied.Status != http.StatusTooManyRequests {
			return errStatus(denied)
		}
		return nil
	})
	for _, want := range []struct {
		of            reply
		in, below     string
		reason, limit string
	}{
		{renewed, "Check", "jwks", "allowed", ""},
		{asked, "Check", "introspection", "allowed", ""},
		{allowed, "ShouldRateLimit", "redis", "allowed", ""},
		{denied, "ShouldRateLimit", "", "rate-limited", "one"},
	} {
		id := want.of.Header.Get("X-Trace-ID")
		awaited(t, g, c, id, want.in+" and "+want.below+" are in the trace", func(spans []testenv.Span) error {
			call, err := spanOf(spans, "gatewright", "Server", want.in, "")
			if err != nil {
				return err
			}
			if limit, _ := call.Attributes["limit"].(string); call.Attributes["reason"] != want.reason || limit != want.limit {
				return fmt.Errorf("%s says %v", want.in, call.Attributes)
			}
			edge, err := spanOf(spans, "envoy", "Server", "", "")
			if err != nil {
				return err
			}
			if i := slices.IndexFunc(spans, func(s testenv.Span) bool { return s.Span == call.Parent }); i < 0 || spans[i].Parent != edge.Span {
				return fmt.Errorf("%s is not below the edge", want.in)
			}
			if want.below == "" {
				return nil
			}
			_, err = spanOf(spans, "gatewright", "Client", want.below, call.Span)
			return err
		})
	}
	if text := c.Text(); strings.Contains(text, secret) || strings.Contains(text, "sesame") {
		t.Errorf("a credential is in a span: %s", text)
	}
}
