package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/internal/testenv"
)

// TestEverythingIsMeasured: every row is there, and every answer was the one that is
// wanted. How fast it was is nothing for a test. The rival is a Gatewright, which speaks
// both protocols.
func TestEverythingIsMeasured(t *testing.T) {
	o := options{
		envoy: testenv.Envoy(t), rounds: 2, time: 30 * time.Millisecond, connections: 3, tokens: 5, key: filepath.Join(t.TempDir(), "issuer.pem"),
		authz: rig.Rivals{{Name: "a judge"}}, ratelimit: rig.Rivals{{Name: "a counter"}},
	}
	rival := startRival(t, o)
	for _, r := range []*rig.Rival{&o.authz[0], &o.ratelimit[0]} {
		r.Addr, r.PID = rival.GRPC, rival.PID
	}
	var progress bytes.Buffer
	got, err := measure(t.Context(), o, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	for _, want := range []string{bare, public, jwtInEnvoy, limitInEnvoy, jwtByHop, limitByHop, public + quietly, limitInEnvoy + quietly, limitByHop + quietly,
		byFilters, limitByFilters, "JWT, scope and claims by a judge", byFilters + ", a limit of each user by a counter",
		"JWT, scope and claims by a judge, a limit of each user by a counter"} {
		if !strings.Contains(got, "| "+want+" |") {
			t.Errorf("no row %q in the report:\n%s", want, got)
		}
	}
	if strings.Contains(got, exactByHop) {
		t.Errorf("a row of a Redis that was not started:\n%s", got)
	}
}

// startRival starts a Gatewright that has the policy and the limits of the rivals.
func startRival(t *testing.T, o options) *rig.Server {
	t.Helper()
	issuer, err := o.issuer()
	if err != nil {
		t.Fatal(err)
	}
	built, err := rig.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	limits := t.TempDir()
	if err := os.WriteFile(filepath.Join(limits, "bench.yaml"), []byte(ratelimitConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	rival, err := built.Serve(context.WithoutCancel(t.Context()), fmt.Appendf(nil, `listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {app: {endpoints: ["127.0.0.1:8081"]}}
auth:
  jwt:
    main: {issuer: %s, audiences: [api], algorithms: [RS256], jwks: {inline: '%s'}, forward: {sub: %s, role: %s, tenant: %s}}
routes: [{name: app, match: {path: /**}, auth: {anyOf: [{jwt: main, scopes: [users:read]}]}, to: [{backend: app}]}]
`, rig.IssuerName, issuer.JWKS, userHeader, roleHeader, tenantHeader), "GATEWRIGHT_RATELIMIT_CONFIG_DIR="+limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rival.Stop)
	return rival
}

// TestAnAnswerThatIsNotWantedEndsTheRun: what is not told to the backend, or is not an
// answer, is not measured as if it were.
func TestAnAnswerThatIsNotWantedEndsTheRun(t *testing.T) {
	t.Parallel()
	app, err := startBackend()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = app.Close() }()
	for _, c := range []struct{ user, want string }{
		{nobody, ""},
		{"user-1", `answered with 200 and "-", not for user "user-1"`},
	} {
		c1 := dialed(t, app.Addr().String())
		asked := 0
		_, err = load(t.Context(), []*client{c1}, func() request { asked++; return newRequest("T", c.user) }, func(n int64) bool { return n <= 3 })
		if c.want == "" && (err != nil || asked != 3) {
			t.Errorf("user %q: %d asked, %v", c.user, asked, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || asked != 1) {
			t.Errorf("user %q: %d asked, %v; want %s", c.user, asked, err, c.want)
		}
	}
}

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	o := fullSize()
	o.envoy = "envoy"
	if err := o.validate(); err != nil {
		t.Error(err)
	}
	o.envoy, o.rounds, o.authz = "", 0, rig.Rivals{{Name: "a judge"}}
	err := o.validate()
	for _, want := range []string{"-envoy", "-rounds", "-key"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// TestWhatRivalsAreTold: the keys that sign the tokens, and the same policy.
func TestWhatRivalsAreTold(t *testing.T) {
	t.Parallel()
	o := options{key: filepath.Join(t.TempDir(), "issuer.pem")}
	issuer, err := o.issuer()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		wants []string
	}{
		{printJWKS, []string{string(issuer.JWKS)}},
		{printOPA, []string{"package envoy.authz", string(issuer.JWKS), `"iss": "` + rig.IssuerName + `"`, "x-tenant-id"}},
		{printRatelimit, []string{"domain: bench", "value: " + limitedUser}},
	} {
		o.print = c.what
		var out bytes.Buffer
		if err := report(t.Context(), o, &out, &out); err != nil {
			t.Error(err)
		}
		for _, want := range c.wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is not in:\n%s", c.what, want, &out)
			}
		}
	}
	for _, bad := range []options{{print: printOPA}, {print: "all", key: o.key}} {
		if err := report(t.Context(), bad, io.Discard, io.Discard); err == nil {
			t.Errorf("-print %s with -key %q is taken", bad.print, bad.key)
		}
	}
}
