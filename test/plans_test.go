package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const withPlans = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  jwt:
    main:
      issuer: "{{.issuer}}"
      audiences: [api]
      jwks: {url: "{{.issuer}}/.well-known/jwks.json"}
      planClaim: plan
  apiKey:
    partners: {}
limits:
  per-tenant:
    key: [tenant]
    tokenBucket: {capacity: 3, refill: 1/d}
    plans:
      silver: {tokenBucket: {capacity: 5, refill: 1/d}}
      gold: {tokenBucket: {capacity: 8, refill: 1/d}}
routes:
  - {name: data, match: {path: /data/**}, auth: {anyOf: [{jwt: main}, {apiKey: partners}]}, limits: [per-tenant], to: [{backend: app}]}
`

// TestPlans: how much a customer has is what its record says, or the plan of its
// record, or of the credential; on both kinds of listeners, counted in memory and
// in Redis. A change of the record counts within two seconds, keeps what has been
// used, and needs no change of the config.
func TestPlans(t *testing.T) {
	t.Parallel()
	for name, env := range stores {
		for _, listener := range []string{"public", "filtered"} {
			t.Run(name+" "+listener, func(t *testing.T) {
				t.Parallel()
				p := idp(t)
				g := start(t, setup{config: withPlans, env: env(t), values: map[string]string{"issuer": p.Issuer(), "app": backend(t, "app").Addr()}})
				key := func(tenant string, more ...string) header {
					k := g.createKey(append([]string{"--tenant", tenant}, more...)...)
					return k.header()
				}
				has := func(who string, h header, capacity int) {
					t.Helper()
					eventually(t, fmt.Sprintf("%s has %d", who, capacity), func() error {
						r := get(t, g.url(listener, "/data/1"), h)
						if got := limitOf(r); got != strconv.Itoa(capacity) {
							return fmt.Errorf("status %d, a limit of %q", r.Status, got)
						}
						return nil
					})
				}
				g.run("tenants", "set", "silver-inc", "--plan", "silver", "--note", "since March")
				g.run("tenants", "set", "golden", "--plan", "gold")
				g.run("tenants", "set", "special", "--plan", "gold", "--limit", "per-tenant=20,1/d")
				g.run("tenants", "set", "lost", "--plan", "platinum")

				has("a tenant without a record", key("nobody"), 3)
				has("silver", key("silver-inc"), 5)
				gold := key("golden")
				has("gold", gold, 8)
				has("a customer's own numbers", key("special"), 20)
				lost := key("lost")
				eventually(t, "the plan that no limit names is counted", func() error {
					get(t, g.url(listener, "/data/1"), lost) // may come before the customer's record
					if strings.Contains(g.metrics(), "\ngatewright_unknown_plans_total 0\n") {
						return errors.New("it is not")
					}
					return nil
				})
				has("a plan that no limit names", lost, 3)
				has("a key's own plan", key("silver-inc", "--plan", "gold"), 8)
				has("a token's claim", bearer(token(t, p, "sub=alice", "tenant=other", "plan=silver")), 5)
				if n := strings.Count(g.stderr.String(), "no limit of the config names the plan"); n != 1 {
					t.Errorf("told %d times of the plan that no limit names, want once", n)
				}

				eventually(t, "the log has the plan", func() error {
					for _, line := range g.accessLog() {
						if line["tenant"] == "golden" && line["plan"] == "gold" {
							return nil
						}
					}
					return fmt.Errorf("no such line")
				})

				// Gold had 8, of which some are used. With 3 no more than 3 are left, and
				// with 8 again none comes back.
				used := 8 - left(t, g, listener, gold)
				g.run("tenants", "remove", "golden")
				has("gold without its record", gold, 3)
				g.run("tenants", "set", "golden", "--plan", "gold")
				has("gold again", gold, 8)
				if now := 8 - left(t, g, listener, gold); now < used || now < 6 {
					t.Errorf("%d of 8 are used, and were %d before the bucket had 3: what was used came back", now, used)
				}
			})
		}
	}
}

// limitOf is what a response says of the limit.
func limitOf(r reply) string {
	limit, _, _ := strings.Cut(r.Header.Get("RateLimit-Limit"), ",")
	if limit == "" { // of Envoy's own filter
		limit, _, _ = strings.Cut(r.Header.Get("X-RateLimit-Limit"), ",")
	}
	return limit
}

// left asks once, and is how many are left.
func left(t *testing.T, g *gateway, listener string, h header) int {
	t.Helper()
	r := get(t, g.url(listener, "/data/1"), h)
	text := r.Header.Get("RateLimit-Remaining")
	if text == "" {
		text = r.Header.Get("X-RateLimit-Remaining")
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("status %d, remaining %q", r.Status, text)
	}
	return n
}

// TestTenantsByTheAdminAPI: a customer's record is set, read and removed over HTTP
// with the admin token, on PostgreSQL too; the change reaches every gateway, and
// is audited.
func TestTenantsByTheAdminAPI(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	at := server.NewDatabase(t)
	p, app := idp(t), backend(t, "app")
	var gateways []*gateway
	for range 2 {
		gateways = append(gateways, start(t, setup{
			config: withPlans, values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()},
			env: []string{"GATEWRIGHT_DATABASE_URL=" + at, "GATEWRIGHT_KEY_SECRET=" + keySecret, "GATEWRIGHT_ADMIN_TOKEN=admin-canary"},
		}))
	}
	one := gateways[0]
	call := func(method, name, body, token string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, "http://"+one.admin+"/api/v1/tenants/"+url.PathEscape(name), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	const admin = "admin-canary"
	for what, c := range map[string]struct {
		method, name, body, token string
		status                    int
	}{
		"no token":          {"PUT", "acme", `{"plan": "gold"}`, "", 401},
		"an unknown member": {"PUT", "acme", `{"plans": "gold"}`, admin, 400},
		"no such plan name": {"PUT", "acme", `{"plan": "go ld"}`, admin, 422},
		"no bucket":         {"PUT", "acme", `{"limits": {"per-tenant": "x"}}`, admin, 400},
		"an empty bucket":   {"PUT", "acme", `{"limits": {"per-tenant": "0,1/s"}}`, admin, 400},
		"a name too long":   {"PUT", strings.Repeat("x", 129), `{}`, admin, 422},
		"nobody":            {"GET", "nobody", "", admin, 404},
		"remove nobody":     {"DELETE", "nobody", "", admin, 404},
	} {
		if status, body := call(c.method, c.name, c.body, c.token); status != c.status {
			t.Errorf("%s: %d %s, want %d", what, status, body, c.status)
		}
	}
	caller := bearer(token(t, p, "sub=alice", "tenant=a/c me"))
	each := func(what string, capacity string) {
		t.Helper()
		for _, g := range gateways {
			eventually(t, what, func() error {
				if r := get(t, g.url("public", "/data/1"), caller); limitOf(r) != capacity {
					return fmt.Errorf("status %d, a limit of %q, want %s", r.Status, limitOf(r), capacity)
				}
				return nil
			})
		}
	}
	each("nothing is agreed on", "3")
	if status, body := call("PUT", "a/c me", `{"plan": "gold", "note": "by phone"}`, admin); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	each("the plan counts", "8")
	status, body := call("PUT", "a/c me", `{"limits": {"per-tenant": "100,10/s"}}`, admin)
	var record struct {
		Name, Plan string
		Limits     map[string]string
	}
	if err := json.Unmarshal([]byte(body), &record); err != nil || status != 200 || record.Name != "a/c me" || record.Plan != "" || record.Limits["per-tenant"] != "100,10/s" {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	each("the customer's own numbers count", "100")
	if status, body := call("DELETE", "a/c me", "", admin); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	each("nothing is agreed on any more", "3")
	audit := string(one.run("keys", "audit", "-o", "json"))
	for _, want := range []string{`"set-tenant"`, `"remove-tenant"`, `"a/c me"`, "by phone", "admin API from 127.0.0.1"} {
		if !strings.Contains(audit, want) {
			t.Errorf("the audit lacks %s:\n%s", want, audit)
		}
	}
}
