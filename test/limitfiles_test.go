package test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const shopLimits = `
domain: shop
descriptors:
  - key: path
    value: /orders/*
    share_threshold: true
    descriptors:
      - {key: user, rate_limit: {unit: year, requests_per_unit: %d}}
      - {key: user, value: root, rate_limit: {unlimited: true}}
  - key: path
    value: /shadow
    descriptors:
      - {key: user, shadow_mode: true, rate_limit: {unit: year, requests_per_unit: 0}}
  - {key: tier, rate_limit: {unit: year, requests_per_unit: 3, algorithm: token_bucket}}
`

// ruledGateway is a Gatewright with a folder of rate limit configuration, and an Envoy
// whose rate limit filter asks it.
type ruledGateway struct {
	*gateway
	folder string
}

func startRuled(t *testing.T, env ...string) ruledGateway {
	t.Helper()
	app, folder := backend(t, "app"), t.TempDir()
	r := ruledGateway{folder: folder}
	r.limits(t, fmt.Sprintf(shopLimits, 2))
	socket := filepath.Join(testenv.ShortDir(t), "judge")
	r.gateway = start(t, setup{
		config: `
listeners:
  - {name: unused, address: "{{listen "unused"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: open, match: {path: /**}, auth: public, to: [{backend: app}]}
`,
		serve: true, values: map[string]string{"app": app.Addr()},
		env: append(env, "GATEWRIGHT_GRPC_ADDR=unix:"+socket, "GATEWRIGHT_RATELIMIT_CONFIG_DIR="+folder,
			"GATEWRIGHT_RATELIMIT_LIMIT_RESPONSE_HEADERS_ENABLED=true"),
	})
	addr := testenv.Addr(t)
	_, port, _ := net.SplitHostPort(addr)
	_, appPort, _ := net.SplitHostPort(app.Addr())
	r.listeners["public"] = addr
	foreignEnvoy(t, "testdata/ratelimited.yaml", map[string]any{"port": port, "app": appPort, "judge": socket}, addr)
	return r
}

// limits writes the file of limits.
func (r ruledGateway) limits(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(r.folder, "shop.yaml")
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestRateLimitFilesThroughEnvoy: an Envoy that asked envoyproxy/ratelimit asks
// Gatewright, with the same files.
func TestRateLimitFilesThroughEnvoy(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startRuled(t, env(t)...)
			user := func(name string) header { return header{"X-User", name} }
			for i, want := range []int{200, 200, 429, 429} {
				r := get(t, g.url("public", fmt.Sprintf("/orders/%d", i)), user("ann")) // one count for all orders
				if r.Status != want || r.Header.Get("RateLimit-Limit") != "2" || r.Header.Get("RateLimit-Remaining") != fmt.Sprint(max(1-i, 0)) {
					t.Errorf("request %d: %d, %q of %q left, want %d", i, r.Status, r.Header.Get("RateLimit-Remaining"), r.Header.Get("RateLimit-Limit"), want)
				}
			}
			for range 4 {
				get(t, g.url("public", "/orders/1"), user("root")).ok(t)
				get(t, g.url("public", "/shadow"), user("ann")).ok(t)
				get(t, g.url("public", "/other"), user("ann")).ok(t)
			}
			get(t, g.url("public", "/orders/1"), user("bob"), header{"X-Tier", "gold"}).ok(t)
			for _, want := range []int{200, 200, 429} {
				if r := get(t, g.url("public", "/"), header{"X-Tier", "gold"}); r.Status != want {
					t.Errorf("tier: %d, want %d", r.Status, want)
				}
			}
			for _, want := range []string{
				`gatewright_ratelimit_rule_hits_total{domain="shop",result="over_limit",rule="path_/orders/*.user"} 2`,
				`gatewright_ratelimit_rule_hits_total{domain="shop",result="shadow_mode",rule="path_/shadow.user"} 4`,
			} {
				if got := g.metrics(); !strings.Contains(got, want) {
					t.Errorf("metrics lack %s in\n%s", want, got)
				}
			}
		})
	}
}

// TestRateLimitFilesReload: a change is served without a restart, and a bad one changes
// nothing and is told.
func TestRateLimitFilesReload(t *testing.T) {
	t.Parallel()
	g := startRuled(t)
	url, ann := g.url("public", "/orders/1"), header{"X-User", "ann"}
	for range 2 {
		get(t, url, ann).ok(t)
	}
	if r := get(t, url, ann); r.Status != http.StatusTooManyRequests {
		t.Fatalf("got %d, want 429", r.Status)
	}
	g.limits(t, fmt.Sprintf(shopLimits, 100))
	eventually(t, "more are let pass", func() error {
		if r := get(t, url, ann); r.Status != http.StatusOK {
			return errStatus(r)
		}
		return nil
	})

	g.limits(t, "domain: shop\ndescriptor: []\n")
	fault := filepath.Join(g.folder, "shop.yaml") + `:2: descriptor: unknown field, did you mean "descriptors"?`
	eventually(t, "the fault is told", func() error {
		out, err := g.command("status").Output()
		if err == nil || !strings.Contains(string(out), fault) || !strings.Contains(string(out), "1 domain, 4 rules") {
			return fmt.Errorf("status (%v): %s", err, out)
		}
		return nil
	})
	get(t, url, ann).ok(t)
	if !strings.Contains(g.metrics(), "gatewright_ratelimit_config_last_reload_successful 0") || !strings.Contains(g.stderr.String(), "did you mean") {
		t.Error("neither metrics nor the log tell of the fault")
	}
	out, err := g.command("check", "--ratelimit", g.folder).CombinedOutput()
	if err == nil || !strings.Contains(string(out), fault) {
		t.Errorf("check (%v): %s", err, out)
	}

	out, err = g.command("check", "--ratelimit", g.folder, "-o", "json").Output()
	if err == nil || !strings.Contains(string(out), `"Line": 2`) || !strings.Contains(string(out), `"ok": false`) {
		t.Errorf("check -o json (%v): %s", err, out)
	}

	g.limits(t, fmt.Sprintf(shopLimits, 100))
	eventually(t, "all is well", func() error {
		if out, err := g.command("status").CombinedOutput(); err != nil {
			return fmt.Errorf("status (%w): %s", err, out)
		}
		return nil
	})
	if out, err := g.command("check", "--ratelimit", g.folder).CombinedOutput(); err != nil || !strings.Contains(string(out), "ok, 1 file, 1 domain, 4 rules") {
		t.Errorf("check (%v): %s", err, out)
	}
}

// TestRateLimitFilesAtTheStart: a folder that is not there is told at once; one with
// faults does not keep the gateway from serving, and its domains wait for it.
func TestRateLimitFilesAtTheStart(t *testing.T) {
	t.Parallel()
	app, folder := backend(t, "app"), t.TempDir()
	plain := setup{config: `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: open, match: {path: /**}, auth: public, to: [{backend: app}]}
`, values: map[string]string{"app": app.Addr()}}

	missing := plain
	missing.env = []string{"GATEWRIGHT_RATELIMIT_CONFIG_DIR=" + filepath.Join(folder, "none")}
	g := launch(t, missing)
	if code := g.wait(); code == 0 || !strings.Contains(g.stderr.String(), "GATEWRIGHT_RATELIMIT_CONFIG_DIR") {
		t.Errorf("ended with %d, saying %s", code, g.stderr)
	}

	if err := os.WriteFile(filepath.Join(folder, "a.yaml"), []byte("domain:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	faulty := plain
	faulty.env = []string{"GATEWRIGHT_RATELIMIT_CONFIG_DIR=" + folder}
	g = start(t, faulty)
	get(t, g.url("public", "/")).ok(t)
	if out, err := g.command("status").CombinedOutput(); err == nil || !strings.Contains(string(out), "a.yaml:1: domain: must not be empty") {
		t.Errorf("status (%v): %s", err, out)
	}
}
